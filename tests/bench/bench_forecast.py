"""Forecasts against what came: time and accuracy of short runs. Run by hand, one run:

    TORCH_HOME=.venv/share/netgraft-test-weights python tests/bench/bench_forecast.py SETS WORK

SETS: what forecast_sets.py wrote. WORK: a folder for the state and results.jsonl; where a run was
broken off, the same command goes on. `--report` only prints what is there.

First the forecaster learns this machine: runs on the sets in SETS/fit and on digits. Then each run
on the sets in SETS/test is forecast and carried out; what it took is taken out of the state
again, so that no run on these sets helps to forecast another. Time: the forecast that the job was
started with (a pilot on some pictures; nothing of the run). Accuracy: the newest forecast before
the held-out pictures were measured, which for runs with a probe is that of the probe.
"""

import argparse
import asyncio
import json
import shutil
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starting import Checkout, up

from netgraft.client import Client
from netgraft.readiness import is_warming
from netgraft.v1 import surgery_pb2, tuning_pb2

HERE = Path(__file__).parents[2]
MODEL = "mobilenet_v2"
VAL_SHARE = 0.35
"""Large, so that the accuracy of a run is known."""
FULL = ("faces", "upper")
"""Sets on which a network is trained without a probe: of its accuracy little can be said before."""
INSTEAD: dict[str, Any] = {"strategy": "probe", "image_size": 80}


@dataclass(frozen=True)
class Case:
    """One run."""

    part: str
    """ "fit" or "test"."""
    data: str
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        said = " ".join(f"{name}={value}" for name, value in self.said.items())
        return f"{self.part} {self.data} {said}"


SAID: tuple[dict[str, Any], ...] = (
    {"strategy": "probe", "image_size": 64},
    {"strategy": "probe", "image_size": 96},
    {"strategy": "probe", "image_size": 128},
    {"strategy": "auto", "image_size": 64, "epochs": 1, "batch_size": 32},
    {"strategy": "auto", "image_size": 64, "epochs": 3, "batch_size": 32},
    {"strategy": "auto", "image_size": 96, "epochs": 1, "batch_size": 16},
    {"strategy": "auto", "image_size": 48, "batch_size": 32},
    {"strategy": "full", "image_size": 64, "epochs": 2, "batch_size": 16},
    {"strategy": "auto", "image_size": 80, "epochs": 2, "batch_size": 64},
    {"strategy": "probe", "image_size": 160},
)
"""What is asked for on each set that measures."""
FITTED: tuple[dict[str, Any], ...] = (
    {"strategy": "probe", "image_size": 64},
    {"strategy": "probe", "image_size": 112},
    {"strategy": "auto", "image_size": 64, "epochs": 1, "batch_size": 32},
    {"strategy": "auto", "image_size": 80, "epochs": 2, "batch_size": 16},
    {"strategy": "auto", "image_size": 48, "batch_size": 32},
    {"strategy": "full", "image_size": 64, "epochs": 1, "batch_size": 32},
)
"""And on each set to fit by."""


def cases(sets: Path) -> Iterator[Case]:
    for name in (*sorted(each.name for each in (sets / "fit").iterdir()), "digits"):
        yield from (Case("fit", name, said) for said in FITTED)
    for said in SAID:  # one on each set in turn: a set is not read as often in a row
        for folder in sorted((sets / "test").iterdir()):
            is_left = said["strategy"] == "full" and folder.name not in FULL
            yield Case("test", folder.name, INSTEAD if is_left else said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--most", type=int, default=1_000, help="runs of this call")
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    lines: Path = given.work.resolve() / "results.jsonl"
    if not given.report:
        measure(given.sets.resolve(), given.work.resolve(), lines, given.most)
    report([json.loads(line) for line in lines.read_text().splitlines()])


def measure(sets: Path, work: Path, lines: Path, most: int) -> None:
    """Carry out the cases that are left, at most so many."""
    state = work / "state"
    state.mkdir(parents=True, exist_ok=True)
    lines.touch()
    done = {json.loads(line)["key"] for line in lines.read_text().splitlines()}
    left = [case for case in cases(sets) if case.key not in done][:most]
    if not left:
        return
    own = state / "sets"  # the server reads what is below its own folder
    if not own.exists():
        shutil.copytree(sets, own)
    checkout = Checkout("after", HERE, state, engine="local")
    with up(checkout) as running:
        while asyncio.run(is_warming(f"127.0.0.1:{checkout.grpc_port}")):
            time.sleep(0.1)
        for case in left:
            row = carried_out(running.client, own, case)
            if case.part == "test":
                forget(state, row["job"])
            with lines.open("a") as file:
                file.write(json.dumps(row) + "\n")
            say(one_line(row))


def carried_out(client: Client, sets: Path, case: Case) -> dict[str, Any]:
    """Forecast a case, run it, and return both."""
    data = "digits" if case.data == "digits" else str(sets / case.part / case.data)
    classes = 10 if case.data == "digits" else classes_of(Path(data))
    edited = surgery_pb2.RetargetModelRequest(model=MODEL, classes=classes)
    model = client.surgery.RetargetModel(edited).model.id
    spec = tuning_pb2.TuningSpec(model=model, data=data, **case.said)
    if case.data != "photographs":
        spec.options.split, spec.options.val_share = "make", VAL_SHARE
    began = time.perf_counter()
    for _ in client.tuning.Forecast(tuning_pb2.ForecastRequest(spec=spec)):
        pass
    measuring = time.perf_counter() - began
    job = client.tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec))
    for _ in client.tuning.WatchJob(tuning_pb2.WatchJobRequest(id=job.id)):
        pass
    job = client.tuning.GetJob(tuning_pb2.GetJobRequest(id=job.id))
    if job.state != tuning_pb2.JOB_STATE_SUCCEEDED:
        raise SystemExit(f"{case.key}: {job.error_reason}: {job.error_message}")
    took = (job.end_time.ToMilliseconds() - job.create_time.ToMilliseconds()) / 1000
    newest = job.probed_forecast if job.HasField("probed_forecast") else job.forecast
    return {
        "key": case.key,
        "part": case.part,
        "data": case.data,
        "strategy": case.said["strategy"],
        "job": job.id,
        "measuring": round(measuring, 2),
        "seconds": took,
        "expected": plain(job.forecast.seconds),
        "epochs": plain(job.forecast.epochs),
        "accuracy": job.metrics["accuracy"],
        "accuracy_before": plain(job.forecast.accuracy),
        "accuracy_expected": plain(newest.accuracy),
    }


def classes_of(folder: Path) -> int:
    train = folder / "train"
    return sum(1 for each in (train if train.is_dir() else folder).iterdir() if each.is_dir())


def plain(found: tuning_pb2.Range) -> list[float]:
    return [round(each, 4) for each in (found.low, found.middle, found.high)]


def forget(state: Path, job: str) -> None:
    """Take what a run took out of the state: it shall not help to forecast others."""
    with closing(sqlite3.connect(state / "netgraft.db", timeout=30)) as database:
        database.execute("UPDATE jobs SET timings = NULL WHERE id = ?", (job,))
        database.commit()


def report(rows: Sequence[dict[str, Any]]) -> None:
    """Print which runs the forecaster was fitted by and which it was tested on, and how well."""
    for part in ("fit", "test"):
        own = [row for row in rows if row["part"] == part]
        say(f"\n{part}: {len(own)} runs on {', '.join(sorted({row['data'] for row in own}))}")
        for row in own:
            say(one_line(row))
    tested = [row for row in rows if row["part"] == "test"]
    for name in ("", *sorted({row["strategy"] for row in tested})):
        some = [row for row in tested if name in ("", row["strategy"])]
        if some:
            say(f"\n{name or 'all'}: {summary(some)}")


def summary(rows: Sequence[dict[str, Any]]) -> str:
    errors = sorted(abs(row["seconds"] / row["expected"][1] - 1) for row in rows)
    nine = errors[min(len(errors) - 1, int(0.9 * len(errors)))]
    times = sum(inside(row["seconds"], row["expected"]) for row in rows)
    reached = sum(inside(row["accuracy"], row["accuracy_expected"]) for row in rows)
    widths = [100 * (row["accuracy_expected"][2] - row["accuracy_expected"][0]) for row in rows]
    before = [100 * (row["accuracy_before"][2] - row["accuracy_before"][0]) for row in rows]
    held = sum(inside(row["accuracy"], row["accuracy_before"]) for row in rows)
    spans = [row["expected"][2] / row["expected"][0] for row in rows]
    return (
        f"time: median error {statistics.median(errors):.1%}, 90th percentile {nine:.1%}; "
        f"its 90 % range holds in {times} of {len(rows)} (high / low: "
        f"{statistics.median(spans):.2f}); "
        f"accuracy: its range holds in {reached} of {len(rows)}, mean width "
        f"{statistics.mean(widths):.1f} points; before the run in {held}, "
        f"{statistics.mean(before):.1f} points"
    )


def one_line(row: dict[str, Any]) -> str:
    low, middle, high = row["expected"]
    reached = "{:.3f} to {:.3f}".format(*row["accuracy_expected"][::2])
    missed = "" if inside(row["seconds"], row["expected"]) else " (time missed)"
    wrong = "" if inside(row["accuracy"], row["accuracy_expected"]) else " (accuracy missed)"
    return (
        f"{row['key']}: {row['seconds']:.1f} s, expected {middle:.1f} ({low:.1f} to {high:.1f}); "
        f"{row['accuracy']:.3f}, expected {reached}; measured for {row['measuring']:.1f} s"
        f"{missed}{wrong}"
    )


def inside(value: float, found: Sequence[float]) -> bool:
    return found[0] <= value <= found[2]


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
