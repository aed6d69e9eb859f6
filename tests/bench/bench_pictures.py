"""From a model to its picture in a browser, beside the ways that people use today.

    .venv/bin/python tests/bench/bench_pictures.py [MODEL…] [--repeat N]

Wall-clock seconds until Netron has drawn in Chromium, medians, side by side in one run:

    netgraft      the first drawing by a warm service, opened from its page
    onnx          torch.onnx.export(dynamo=True) of a built model, opened by netron
    save          torch.save of the model, opened by netron (which draws no edges)

and the bytes of the model that go to the browser, as a share of the weights' bytes. Each
drawing has a fresh browser context and, at netgraft, a store of its own.
"""

import argparse
import logging
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import netron
import torch
from playwright.sync_api import Browser, sync_playwright

from netgraft.graph.capture import warm
from netgraft.graph.edge import GraphsServicer
from netgraft.models.store import Store
from netgraft.models.zoo import base_module, example_inputs, resolve
from netgraft.v1 import graph_pb2

MODELS = ("mobilenet_v2", "resnet50", "vit_b_16", "convnext_large", "vit_h_14")
DRAWN = "document.querySelectorAll('#canvas g.graph-node').length > 0"
OURS = "document.documentElement.dataset.netgraft === 'drawn'"
PATIENCE = 300_000


def shown(browser: Browser, address: str, done: str) -> None:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    context.add_cookies([{"name": "consent", "value": "1", "url": address}])
    page.goto(address)
    page.wait_for_function(done, timeout=PATIENCE)
    context.close()


def netgraft(browser: Browser, model: str) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as folder:
        graphs = GraphsServicer(Store(f"{folder}/store", f"sqlite:///{folder}/db"))
        server = ThreadingHTTPServer(("127.0.0.1", 0), relay(graphs))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        start = time.perf_counter()
        graph = graphs.DrawGraph(graph_pb2.DrawGraphRequest(model=f"{model}@none"))
        shown(browser, f"http://127.0.0.1:{server.server_port}{graph.page}", OURS)
        spent = time.perf_counter() - start
        server.shutdown()
        return spent, graph.document_bytes


def relay(graphs: GraphsServicer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, _, model_id, path = urlsplit(self.path).path.split("/", 3)
            wish = graph_pb2.GetViewerFileRequest(model_id=model_id, path=path)
            file = graphs.GetViewerFile(wish)
            self.send_response(200)
            self.send_header("content-type", file.content_type)
            self.send_header("content-length", str(len(file.data)))
            self.end_headers()
            self.wfile.write(file.data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def peer(browser: Browser, model: str, write: Callable[[str, Path], None], name: str) -> tuple[float, int]:  # fmt: skip  # noqa: E501
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        start = time.perf_counter()
        write(model, file)
        address = netron.start(str(file), address=("127.0.0.1", 0), browse=False)
        shown(browser, f"http://{address[0]}:{address[1]}/", DRAWN)
        spent = time.perf_counter() - start
        netron.stop(address)
        return spent, sum(part.stat().st_size for part in Path(folder).iterdir())


def built(model: str) -> tuple[torch.nn.Module, tuple[object, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        base = resolve(model, "none", Store(folder, f"sqlite:///{folder}/db")).recipe.base
        return base_module(base, load_weights=False).eval(), example_inputs(base, device="cpu")


def onnx(model: str, file: Path) -> None:
    module, inputs = MADE[model]
    program = torch.onnx.export(module, inputs, dynamo=True, verbose=False)  # type: ignore[arg-type]
    assert program is not None
    program.save(str(file))


def save(model: str, file: Path) -> None:
    torch.save(MADE[model][0], file)


MADE: dict[str, tuple[torch.nn.Module, tuple[object, ...]]] = {}
"""Built before the clock starts: the peers need a model in memory."""


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    warm()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        MADE["squeezenet1_1"] = built("squeezenet1_1")
        netgraft(browser, "squeezenet1_1")  # imports are not counted
        peer(browser, "squeezenet1_1", onnx, "model.onnx")
        say("           model netgraft s  onnx s  save s  /onnx  /save   kB sent  share of weights")
        for model in options.models:
            MADE[model] = built(model)
            weights = sum(p.numel() * p.element_size() for p in MADE[model][0].parameters())
            rows = [
                (
                    *netgraft(browser, model),
                    peer(browser, model, onnx, "model.onnx")[0],
                    peer(browser, model, save, "model.pth")[0],
                )
                for _ in range(options.repeat)
            ]
            ours, size, by_onnx, by_save = (median(column) for column in zip(*rows, strict=True))
            say(
                f"{model:>16} {ours:10.2f} {by_onnx:7.2f} {by_save:7.2f} {ours / by_onnx:6.2f} "
                f"{ours / by_save:6.2f} {size / 1e3:9.0f} {size / weights:17.3%}"
            )
            del MADE[model]
        browser.close()


if __name__ == "__main__":
    main()
