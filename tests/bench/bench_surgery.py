"""The cost of a retarget against the size of the model, beside building the model. Run by hand:

    .venv/bin/python tests/bench/bench_surgery.py

For each model, with random weights and its trace in the cache: RetargetModel of the surgery
service in this process, to counts of classes that differ each time; the bytes that it stores (0: a
new head is a formula); how long the largest head takes to be drawn, and how far the process grows
meanwhile. The peer is what people write instead, in the same run: make the model, then its new head
(torchvision: a new nn.Linear; timm: `reset_classifier`); it has no cache, because a newly
started program has none.
`--server ADDRESS` measures the same over gRPC.
"""

import argparse
import gc
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil
import timm
import torch
import torchvision
from torch import nn

from netgraft.models.initialise import draw_tensors
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import surgery_pb2

MODELS = (
    "squeezenet1_1", "mobilenet_v2", "resnet18", "resnet50", "vit_b_16", "vit_l_16", "vit_h_14",
    "timm/eva_giant_patch14_224",
)  # fmt: skip
COUNTS = range(2, 102)
LARGE = 20_000
MOST_PEER = 700_000_000
"""Parameters above which the peer, which makes them all, is left out."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--server", default="", help="HOST:PORT; empty: in this process")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, surgery(options.server, folder) as service:
        for name in options.models.split(","):
            row = measured(service, name)
            rows.append(row)
            print(  # noqa: T201
                f"{name:28} {row['params'] / 1e6:7.1f} M  first {row['first']:7.1f} ms  "
                f"p50 {row['p50']:5.2f}  p99 {row['p99']:5.2f} ms  "
                f"stored {row['stored']} B  drawn in {row['drawn']:6.1f} ms  "
                f"grows {row['growth']:.2f} of the head  peer {row['peer']}",
                flush=True,
            )
    gc.unfreeze()
    sizes, times = [row["params"] / 1e8 for row in rows], [row["p50"] for row in rows]
    heads = [row["head"] / 1e6 for row in rows]
    fit = np.linalg.lstsq(np.stack([sizes, heads, np.ones(len(rows))], 1), times, rcond=None)[0]
    print(f"slope {fit[0]:+.4f} ms per 100 M parameters, {fit[1]:+.2f} ms per MB of head, {fit[2]:.2f} ms")  # fmt: skip  # noqa: E501, T201


@contextmanager
def surgery(server: str, folder: str) -> Iterator[Any]:
    if server:
        from netgraft.client import Client

        with Client(server) as client:
            yield client.surgery
        return
    store = Store(folder, f"sqlite:///{folder}/db")
    yield SurgeryServicer(store)
    store.engine.dispose()


def measured(service: Any, name: str) -> dict[str, Any]:
    reference = f"{name}@none"
    params = service.InspectModel(surgery_pb2.InspectModelRequest(model=reference)).parameters

    def retarget(classes: int) -> Any:
        return service.RetargetModel(
            surgery_pb2.RetargetModelRequest(model=reference, classes=classes)
        )

    first = timed(lambda: retarget(500))
    gc.collect()
    gc.freeze()  # as the service does when it has warmed up
    times = sorted(timed(lambda n=n: retarget(n)) for n in COUNTS)  # type: ignore[misc]
    reply = retarget(LARGE)
    head = sum((change.in_features + 1) * change.after * 4 for change in reply.heads)
    small = retarget(101)
    small_head = sum((change.in_features + 1) * change.after * 4 for change in small.heads)
    with growing() as grown:
        drawn = timed(lambda: draw_last(reply.model.recipe_json))
    return {
        "params": params,
        "first": first,
        "p50": statistics.median(times),
        "p99": times[int(0.99 * len(times)) - 1],
        "head": small_head / 2,  # of the median count
        "stored": reply.stored_bytes,
        "drawn": drawn,
        "growth": grown[0] / head,
        "peer": peer(name, params),
    }


def draw_last(recipe_json: str) -> None:
    """Draw what the last edit of a recipe draws."""
    drawn = Recipe.from_json(recipe_json).edits[-1].changes.draw
    assert drawn is not None
    draw_tensors(drawn, drawn.names)


def timed(call: Callable[[], object]) -> float:
    """Milliseconds that a call takes."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


@contextmanager
def growing() -> Iterator[list[int]]:
    """Measures the largest growth of this process within the block, in bytes, known at its end."""
    process, grown, done = psutil.Process(), [0], threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(0.001):
            grown[0] = max(grown[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield grown
    finally:
        done.set()
        watcher.join()


def peer(name: str, params: int) -> str:
    """Milliseconds to make the model and its new head, the library's way, best of three."""
    if params > MOST_PEER:
        return "-"
    library, _, short = name.rpartition("/")

    def made() -> nn.Module:
        if library == "timm":
            return timm.create_model(short, pretrained=False, num_classes=1000)
        return torchvision.models.get_model(short, weights=None)

    def grafted() -> None:
        model: Any = made()
        if library == "timm":
            model.reset_classifier(100)
            return
        for path in ("fc", "classifier.1", "heads.head"):
            try:
                layer = model.get_submodule(path)
            except AttributeError:
                continue
            new = (
                nn.Linear(layer.in_features, 100)
                if isinstance(layer, nn.Linear)
                else (nn.Conv2d(layer.in_channels, 100, 1))
            )
            model.set_submodule(path, new)
            return

    return f"{min(timed(grafted) for _ in range(3)):.0f} ms"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
