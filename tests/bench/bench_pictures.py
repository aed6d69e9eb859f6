"""From a model to its picture in a browser, beside the ways that people use today.

    .venv/bin/python tests/bench/bench_pictures.py [MODEL…] [--repeat N]

Wall-clock seconds until Netron has drawn in Chromium, medians, side by side in one run:

    netgraft      the first drawing by a warm service, which draws while its page starts
    onnx          torch.onnx.export(dynamo=True) of a built model, opened by netron
    save          torch.save of the model, opened by netron (which draws no edges)
    explorer      torch.export of a built model, opened by Model Explorer; with
                  --explorer PYTHON, the interpreter of an environment that has
                  `ai-edge-model-explorer`, torch and torchvision of the same versions

and the bytes of the model that go to the browser, as a share of the weights' bytes. Each
drawing has a fresh browser context and, at netgraft, a store of its own.
"""

import argparse
import logging
import socket
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import nan
from pathlib import Path
from statistics import median
from subprocess import DEVNULL, PIPE
from typing import Any
from urllib.parse import urlsplit

import netron
import torch
from playwright.sync_api import Browser, sync_playwright

from netgraft.graph.capture.capture import warm
from netgraft.graph.servicer import GraphsServicer
from netgraft.models.bases import base_module, example_inputs
from netgraft.models.resolve import resolve
from netgraft.store.store import Store
from netgraft.v1 import graph_pb2

MODELS = ("mobilenet_v2", "resnet50", "vit_b_16", "convnext_large", "vit_h_14")
DRAWN = (("#canvas g.graph-node", "attached"),)
OURS = (("html[data-netgraft=drawn]", "attached"),)
PATIENCE = 300_000
Signs = tuple[tuple[str, Any], ...]
"""Selectors, and the state in which each must be when the picture is there."""


def shown(browser: Browser, address: str, done: Signs) -> None:
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    context.add_cookies([{"name": "consent", "value": "1", "url": address}])
    page.goto(address)
    for selector, state in done:
        page.wait_for_selector(selector, state=state, timeout=PATIENCE)
    context.close()


def netgraft(browser: Browser, model: str) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as folder:
        graphs = GraphsServicer(Store(f"{folder}/store", f"sqlite:///{folder}/db"))
        server = ThreadingHTTPServer(("127.0.0.1", 0), relay(graphs))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        start = time.perf_counter()
        recipe = resolve(f"{model}@none", "none", graphs.store).recipe
        shown(browser, f"http://127.0.0.1:{server.server_port}/viz/{recipe.id}/", OURS)
        spent = time.perf_counter() - start
        server.shutdown()
        return spent, len(graphs.drawings.draw(recipe).document)


KEPT: dict[str, graph_pb2.ViewerFile] = {}
"""As the gateway keeps the files that all pages share."""


def relay(graphs: GraphsServicer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, _, model_id, path = urlsplit(self.path).path.split("/", 3)
            request = graph_pb2.GetViewerFileRequest(model_id=model_id, path=path)
            file = KEPT.get(path) or graphs.GetViewerFile(request)
            if file.immutable:
                KEPT[path] = file
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


EXPLORER = """
import sys, webbrowser
import torch, torchvision, model_explorer
name, port = sys.argv[1], int(sys.argv[2])
module = torchvision.models.get_model(name, weights=None).eval()
webbrowser.open = webbrowser.open_new_tab = lambda url, *_: print("URL", url, flush=True)
print("READY", flush=True)
sys.stdin.readline()
program = torch.export.export(module, (torch.zeros(2, 3, 224, 224),))
config = model_explorer.config()
config.add_model_from_pytorch(name, exported_program=program)
model_explorer.visualize_from_config(config, port=port)
sys.stdin.readline()
"""
EXPLORED = (("canvas.main", "attached"), ("mat-spinner", "detached"))


def explorer(browser: Browser, model: str, python: str) -> float:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [python, "-c", EXPLORER, model, str(port)]
    with subprocess.Popen(command, text=True, stdin=PIPE, stdout=PIPE, stderr=DEVNULL) as child:
        assert child.stdin
        assert child.stdout
        heard(child.stdout, "READY")
        start = time.perf_counter()
        child.stdin.write("go\n")
        child.stdin.flush()
        shown(browser, heard(child.stdout, "URL "), EXPLORED)
        spent = time.perf_counter() - start
        child.kill()
    return spent


def heard(lines: Iterable[str], word: str) -> str:
    return next(line.removeprefix(word).strip() for line in lines if line.startswith(word))


MADE: dict[str, tuple[torch.nn.Module, tuple[object, ...]]] = {}
"""Built before the clock starts: the peers need a model in memory."""


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--explorer", default="", help="see above")
    parser.add_argument("--ways", default="onnx,save", help="of these two, the ones to time")
    options = parser.parse_args()
    ways = options.ways.split(",")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    warm()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"],
        )
        MADE["squeezenet1_1"] = built("squeezenet1_1")
        netgraft(browser, "squeezenet1_1")  # imports are not counted
        peer(browser, "squeezenet1_1", onnx, "model.onnx")
        say("seconds until drawn; then netgraft as a share of each; then what is sent")
        say(f"{'model':>16} {'netgraft':>8} {'onnx':>6} {'save':>6} {'explorer':>8}")
        for model in options.models:
            MADE[model] = built(model)
            weights = sum(p.numel() * p.element_size() for p in MADE[model][0].parameters())
            rows = [
                (
                    *netgraft(browser, model),
                    peer(browser, model, onnx, "model.onnx")[0] if "onnx" in ways else nan,
                    peer(browser, model, save, "model.pth")[0] if "save" in ways else nan,
                    explorer(browser, model, options.explorer) if options.explorer else nan,
                )
                for _ in range(options.repeat)
            ]
            ours, size, *peers = (median(column) for column in zip(*rows, strict=True))
            times = f"{model:>16} {ours:8.2f} {peers[0]:6.2f} {peers[1]:6.2f} {peers[2]:8.2f}"
            shares = "  ".join(f"{ours / theirs:.2f}" for theirs in peers)
            say(f"{times}   {shares}   {size / 1e3:.0f} kB, {size / weights:.3%} of the weights")
            del MADE[model]
        browser.close()


if __name__ == "__main__":
    main()
