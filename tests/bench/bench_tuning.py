"""Seconds until a model is as good as the tutorial's, beside the tutorial. Run by hand, one run:

    TORCH_HOME=.venv/share/netgraft-test-weights python tests/bench/bench_tuning.py \
        --photographs FOLDER --fashion FOLDER

`--photographs`: a folder of `train` and `val`, each with a folder of pictures per class.
`--fashion`: the files of Debian's package dataset-fashion-mnist, usually in
/usr/share/datasets/fashion-mnist; the first 2,000 of each part are written out as PNG.

The tutorial's loop (tutorial_loop.py, which nobody tunes) runs once for each seed. Its target is
the median of what it ends with, counted in pictures; its time the median of its times. netgraft is
up and warm, with an empty state: the data were never seen. The clock runs from StartTuning until a
model is stored that names as many pictures right; Evaluate counts them when the job has ended, so
that it slows nothing down. A run that never gets there counts as 1.0. The first usable model is the
first one stored, if it is within two points of the target.
"""

import argparse
import asyncio
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starting import Checkout, up

from netgraft.client import Client
from netgraft.readiness import is_warming
from netgraft.v1 import surgery_pb2, tuning_pb2

HERE = Path(__file__).parents[2]
TUTORIAL = Path(__file__).with_name("tutorial_loop.py")
MODEL = "mobilenet_v2"
POINTS = 0.02
"""How far the first usable model may be from the target."""
PICTURES = 2_000
"""Of each part of Fashion-MNIST."""


@dataclass(frozen=True)
class Set:
    """A data set, and the side at which the tutorial trains on it."""

    name: str
    folder: Path
    side: int

    @property
    def held_out(self) -> int:
        return sum(1 for path in (self.folder / "val").rglob("*") if path.is_file())


@dataclass(frozen=True)
class Stored:
    """A model that a run stored: when, after StartTuning, and how many pictures it names right."""

    seconds: float
    correct: int


def main() -> None:
    arguments = parsed()
    with tempfile.TemporaryDirectory() as scratch:
        rows = [measured(each, arguments, Path(scratch)) for each in sets(arguments, Path(scratch))]
    for row in rows:
        say(json.dumps(row))
    for name in ("share", "first_share"):
        shares = [row[name] for row in rows]
        say(f"{name}: geometric mean {statistics.geometric_mean(shares):.3f}, each {shares}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--fashion", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--loaders", type=int, default=0, help="processes that decode, tutorial")
    parser.add_argument("--strategy", default="", help="netgraft's; by default its own choice")
    return parser.parse_args()


def sets(arguments: argparse.Namespace, scratch: Path) -> Iterator[Set]:
    if arguments.photographs:
        yield Set("photographs", arguments.photographs.resolve(), side=224)
    if arguments.fashion:
        folder = scratch / "fashion"
        for part, prefix in (("train", "train"), ("val", "t10k")):
            write_fashion(arguments.fashion, prefix, folder / part)
        yield Set("fashion-mnist", folder, side=64)


def write_fashion(source: Path, prefix: str, folder: Path) -> None:
    """Write the first pictures of a part as PNG files in a folder for each class."""
    images = unzipped(source / f"{prefix}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = unzipped(source / f"{prefix}-labels-idx1-ubyte.gz", 8)
    for index in range(PICTURES):
        place = folder / f"class{labels[index]}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[index]).save(place / f"{index:05d}.png")


def unzipped(path: Path, header: int) -> Any:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


def measured(each: Set, arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """A row of the table: the tutorial, then netgraft, each for every seed."""
    seeds = range(arguments.seeds)
    tutorial = [tutorial_run(each, seed, arguments.loaders) for seed in seeds]
    target = int(statistics.median(run["correct"] for run in tutorial))
    seconds = statistics.median(run["seconds"] for run in tutorial)
    runs = [netgraft_run(each, seed, arguments.strategy, scratch) for seed in seeds]
    enough = target - POINTS * each.held_out
    return {
        "set": each.name,
        "held_out": each.held_out,
        "target": target,
        "tutorial_seconds": round(seconds, 1),
        "tutorial_correct": [run["correct"] for run in tutorial],
        "models": [[(round(m.seconds, 2), m.correct) for m in run] for run in runs],
        "share": round(statistics.median(share(run, target, seconds) for run in runs), 3),
        "first_share": round(statistics.median(share(run[:1], enough, seconds) for run in runs), 3),
    }


def share(stored: Sequence[Stored], correct: float, seconds: float) -> float:
    """The time until a model names so many right, as a share of `seconds`; 1.0 for never."""
    times = [model.seconds for model in stored if model.correct >= correct]
    return min(1.0, min(times) / seconds) if times else 1.0


def tutorial_run(each: Set, seed: int, loaders: int) -> dict[str, Any]:
    """The last epoch of the tutorial's loop."""
    words = [each.folder, "--seed", seed, "--side", each.side, "--loaders", loaders]
    done = subprocess.run(
        [sys.executable, TUTORIAL, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True
    )
    last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    say(f"{each.name} tutorial seed {seed}: {last['correct']} in {last['seconds']:.1f} s")
    return last


def netgraft_run(each: Set, seed: int, strategy: str, scratch: Path) -> list[Stored]:
    """The models that a run stores, in order."""
    state = scratch / f"{each.name}-{seed}"
    state.mkdir()
    data = state / "data"  # under the server's root, and new to this machine's caches of ours
    shutil.copytree(each.folder, data)
    os.environ["NETGRAFT_DATA_ROOTS"] = str(data)
    try:
        checkout = Checkout("after", HERE, state, engine="local")
        with up(checkout) as running:
            while asyncio.run(is_warming(f"127.0.0.1:{checkout.grpc_port}")):
                time.sleep(0.1)
            stored = list(carried_out(running.client, data, seed, strategy))
    finally:
        shutil.rmtree(state)
    said = ", ".join(f"{model.correct} in {model.seconds:.2f} s" for model in stored)
    say(f"{each.name} netgraft seed {seed}: {said or 'no model'}")
    return stored


def carried_out(client: Client, data: Path, seed: int, strategy: str) -> Iterator[Stored]:
    classes = sum(1 for path in (data / "train").iterdir() if path.is_dir())
    edited = surgery_pb2.RetargetModelRequest(model=MODEL, classes=classes)
    model = client.surgery.RetargetModel(edited).model.id
    spec = tuning_pb2.TuningSpec(model=model, data=str(data), seed=seed)
    if strategy:
        spec.strategy = strategy
    began = time.perf_counter()
    job = client.tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec))
    times: dict[str, float] = {}
    for event in client.tuning.WatchJob(tuning_pb2.WatchJobRequest(id=job.id)):
        if event.kind == tuning_pb2.JobEvent.KIND_MODEL:
            times[event.model] = time.perf_counter() - began
    ended = time.perf_counter() - began
    job = client.tuning.GetJob(tuning_pb2.GetJobRequest(id=job.id))
    if job.state != tuning_pb2.JOB_STATE_SUCCEEDED:
        raise SystemExit(f"{job.error_reason}: {job.error_message}")
    times.setdefault(job.result_model, ended)
    say(f"the job ended after {ended:.2f} s; {job.spec}")
    for stored, seconds in times.items():
        request = tuning_pb2.EvaluateRequest(model=stored, data=str(data), part="held_out")
        *_, last = client.tuning.Evaluate(request)
        yield Stored(seconds, last.evaluation.correct)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
