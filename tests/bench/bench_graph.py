"""How fast the graph service draws, beside `torch.onnx.export(dynamo=True)` in the same run.

    .venv/bin/python tests/bench/bench_graph.py [MODEL…] [--repeat N]
    .venv/bin/python tests/bench/bench_graph.py --task classification --repeat 1

Prints medians of wall-clock seconds: the first drawing of a model in a warm service
(`cold`), a drawing kept in memory and one kept in the store only, the peer's export,
and what each sends to a browser; last the ratio of all seconds together. Every repetition
has a store of its own. `--task` takes every torchvision name of a task.
"""

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from netgraft.graph.capture.capture import warm
from netgraft.graph.servicer import GraphsServicer
from netgraft.models.bases import base_module, example_inputs
from netgraft.models.resolve import resolve
from netgraft.models.zoo.catalogue import entries
from netgraft.store.store import Store
from netgraft.v1 import graph_pb2

MODELS = ("resnet18", "resnet50", "mobilenet_v2", "vit_b_16")


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def draw(graphs: GraphsServicer, model: str) -> graph_pb2.Graph:
    return graphs.DrawGraph(graph_pb2.DrawGraphRequest(model=model))


def ours(model: str) -> tuple[float, float, float, int]:
    """Seconds cold, from memory, from the store; bytes of the document."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"{folder}/store", f"sqlite:///{folder}/db")
        resolve(model, "none", store)  # what the request before this one did
        graphs = GraphsServicer(store)
        cold = seconds(lambda: draw(graphs, model))
        memory = seconds(lambda: draw(graphs, model))
        again = GraphsServicer(store)
        stored = seconds(lambda: draw(again, model))
        return cold, memory, stored, draw(graphs, model).document_bytes


def peer(model: str) -> tuple[float, int]:
    """Seconds of torch.onnx.export from a built module, and bytes of the file."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"{folder}/store", f"sqlite:///{folder}/db")
        base = resolve(model, "none", store).recipe.base
        module = base_module(base, load_weights=False).eval()
        inputs = example_inputs(base, device="cpu")
        file = Path(folder) / "model.onnx"

        def export() -> None:
            program = torch.onnx.export(module, inputs, dynamo=True, verbose=False)
            assert program is not None
            program.save(str(file))

        return seconds(export), sum(part.stat().st_size for part in Path(folder).glob("model.*"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--task", default="", help="every torchvision name of this task")
    options = parser.parse_args()
    if options.task:
        options.models = [
            entry.name
            for entry in entries()
            if entry.source == "torchvision" and entry.task == options.task
        ]
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    warm()
    peer("squeezenet1_1")  # its imports are not counted either
    titles = ("model", "cold s", "memory ms", "store ms", "kB", "onnx s", "onnx kB", "cold/onnx")
    print("{:>16} {:>8} {:>10} {:>9} {:>8} {:>8} {:>9} {:>10}".format(*titles))  # noqa: T201
    all_ours = all_theirs = 0.0
    resists = []
    for model in options.models:
        runs = [ours(model) for _ in range(options.repeat)]
        try:
            peers = [peer(model) for _ in range(options.repeat)]
        except Exception as error:  # noqa: BLE001  # what the peer cannot do ends no run
            resists.append(model)
            print(f"{model:>16} onnx: {type(error).__name__}", flush=True)  # noqa: T201
            continue
        cold, memory, stored, size = (median(column) for column in zip(*runs, strict=True))
        theirs, onnx_size = (median(column) for column in zip(*peers, strict=True))
        print(  # noqa: T201
            f"{model:>16} {cold:8.2f} {1e3 * memory:10.1f} {1e3 * stored:9.1f} {size / 1e3:8.0f} "
            f"{theirs:8.2f} {onnx_size / 1e3:9.0f} {cold / theirs:10.2f}",
            flush=True,
        )
        all_ours, all_theirs = all_ours + cold, all_theirs + theirs
    total = (
        f"{len(options.models) - len(resists)} models: {all_ours:.1f} s against {all_theirs:.1f} s"
    )
    print(f"{total}, {all_ours / all_theirs:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
