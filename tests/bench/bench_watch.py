"""How soon a watcher sees a step, and what reporting costs the thread that trains. Run by hand:

    python tests/bench/bench_watch.py --seconds 60

A `netgraft up` of its own trains a small network whose steps take some 50 ms, and a client watches
it; beside it a run in this process, whose reports are timed in the thread that trains. Targets: the
99th percentile of the delay at most 200 ms, the cost below 0.1 % of the steps' time.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import starting
import torch
from bench_start import say

from netgraft.client import Client
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.train.step import Learner
from netgraft.tuning.workers.epochs import Epochs
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.progress import ProgressWriter
from netgraft.tuning.workers.run import run
from netgraft.v1 import surgery_pb2, tuning_pb2

HERE = Path(__file__).parents[2]
MODEL = "timm/test_resnet@none"
SPEC = {"epochs": 1000, "image_size": 64, "batch_size": 64, "precision": "fp32", "lr": 0.004}
"""A step takes about 50 ms on two cores."""


def delays(client: Client, seconds: float) -> list[float]:
    """Seconds from each report of a step until a client has it."""
    edit = surgery_pb2.RetargetModelRequest(model=MODEL, classes=10)
    model = client.surgery.RetargetModel(edit).model.id
    spec = tuning_pb2.TuningSpec(model=model, data="digits", strategy="full", **SPEC)
    job = client.tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec)).id
    found: list[float] = []
    first = 0.0
    for event in client.tuning.WatchJob(tuning_pb2.WatchJobRequest(id=job)):
        now = time.time()
        if event.kind == tuning_pb2.JobEvent.KIND_STEP:
            found.append(now - event.time.ToMicroseconds() / 1e6)
            first = first or now
        if first and now - first > seconds:
            break
    client.tuning.CancelJob(tuning_pb2.CancelJobRequest(id=job))
    return found


def cost(folder: Path, seconds: float) -> tuple[float, float, int]:
    """CPU seconds of the training thread in steps and in reports, and the number of steps."""
    store = Store(str(folder / "store"), f"sqlite:///{folder / 'bench.db'}")
    edit = surgery_pb2.RetargetModelRequest(model=MODEL, classes=10)
    model = SurgeryServicer(store).RetargetModel(edit).model.id
    request = Request(model, "digits", workers=1, strategy="full", **SPEC)  # type: ignore[arg-type]
    job = Jobs(store).create(planning.plan(request, Capacity(2, 0), store))
    steps, reports = _timed(Learner, "step"), _timed(ProgressWriter, "write")
    made = _timed(Epochs, "_progress")
    threading.Timer(seconds, Jobs(store).ask_cancel, (job.id,)).start()
    run(job.id, Group(0, 1, torch.device("cpu")), store)
    return sum(steps), sum(reports) + sum(made), len(steps)


def _timed(owner: Any, name: str) -> list[float]:
    """Have a method note the seconds of its thread that each call takes."""
    found: list[float] = []
    method: Callable[..., Any] = getattr(owner, name)

    def timed(*arguments: Any, **named: Any) -> Any:
        begun = time.thread_time()
        try:
            return method(*arguments, **named)
        finally:
            found.append(time.thread_time() - begun)

    setattr(owner, name, timed)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60.0)
    seconds = options.parse_args().seconds
    with tempfile.TemporaryDirectory() as place:
        checkout = starting.Checkout("local", HERE, Path(place), "local")
        with starting.up(checkout) as up:
            found = sorted(1000 * each for each in delays(up.client, seconds))
    cuts = statistics.quantiles(found, n=100)
    say(
        f"{len(found)} reports; delay p50 {cuts[49]:.0f} ms, p95 {cuts[94]:.0f}, "
        f"p99 {cuts[98]:.0f}, longest {found[-1]:.0f}"
    )
    with tempfile.TemporaryDirectory() as place:
        steps, reports, count = cost(Path(place), seconds / 3)
    say(f"{count} steps of {1000 * steps / count:.0f} ms; reports {reports / steps:.3%} of that")


if __name__ == "__main__":
    main()
