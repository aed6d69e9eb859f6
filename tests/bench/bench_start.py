"""How soon netgraft is there: its start, its commands, its edits, its demo. Run by hand:

    python tests/bench/bench_start.py --before ../netgraft-0.1

Measures an earlier version and this one in one run, in turn, so that both meet the same machine:
medians over the rounds. Each is a checkout with a .venv of its own (`make install`). Each gets a
state folder and ports of its own, and what is started here is ended here.

Parts (`--only` takes a list of them):
  peers    `import torch, torchvision`; a bare Ray Serve with one and with five empty apps
  up       `netgraft up` until gRPC answers and until the page answers
  served   commands while a netgraft runs that has worked before (0.1 did not use it: it
           worked in its own process)
  local    the same commands with `--local`, and in 0.1 as they were
  rpc      latencies through gRPC: ResolveModel, a cached DrawGraph, new retargets
  train    StartTuning until the first step's event
  growth   bytes that the state grows by per edit without class names, after a WAL checkpoint
  demo     `make demo` in a fresh clone until the accuracy is printed (only when it is named)

An edit that is measured was never made before: the class count is another each time.
"""

import argparse
import itertools
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import starting
from starting import Checkout, Up

from netgraft.v1 import graph_pb2, models_pb2, surgery_pb2, tuning_pb2

HERE = Path(__file__).parents[2]
MODEL = "resnet50@none"
TRAINED = "mobilenet_v2@none"
CALLS = 200
"""Calls of each rpc in a round; for the new retargets, which store something, a quarter."""

WARM = "the first retarget, inspect and drawing after `up`"
IMPORT, SERVE, FIVE = (
    "`import torch, torchvision`",
    "bare Ray Serve",
    "bare Ray Serve, five empty apps",
)


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    name: str
    unit: str = "s"
    target: str = ""
    peer: str = ""
    """The row that it is compared with."""


@dataclass
class Table:
    """The measurements, by row and side, in the order in which the rows came."""

    samples: dict[Row, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, row: Row, side: str, value: float) -> None:
        self.samples.setdefault(row, {}).setdefault(side, []).append(value)
        say(f"{side:7} {row.name}: {value:.3g} {row.unit}")

    def median(self, name: str, side: str) -> float | None:
        for row, sides in self.samples.items():
            if row.name == name and side in sides:
                return statistics.median(sides[side])
        return None

    def markdown(self) -> str:
        lines = [
            "| what | before | after | peer | after / peer | target |",
            "|---|---|---|---|---|---|",
        ]
        for row in self.samples:
            before, after = self.median(row.name, "before"), self.median(row.name, "after")
            peer = self.median(row.peer, "after") if row.peer else None
            ratio = f"{after / peer:.2f}" if after and peer else ""
            cells = [shown(before, row.unit), shown(after, row.unit), shown(peer, row.unit)]
            lines.append("| " + " | ".join([row.name, *cells, ratio, row.target]) + " |")
        return "\n".join(lines)

    def plain(self) -> list[dict[str, Any]]:
        """For programs."""
        return [row.__dict__ | {"samples": sides} for row, sides in self.samples.items()]


def shown(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    digits = 0 if value >= 100 else 1 if value >= 20 else 2
    return f"{value:,.{digits}f} {unit}"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Bench:
    """One run: two checkouts or one, measured in turn."""

    def __init__(self, checkouts: list[Checkout], folder: Path, edits: int) -> None:
        self.checkouts = checkouts
        self.folder = folder
        self.edits = edits
        self.table = Table()
        self.counts = itertools.count(2)
        """Class counts; no two edits of a run are the same."""

    def round(self, parts: set[str], *, last: bool) -> None:
        for checkout in self.checkouts:
            if "peers" in parts:
                self.peers(checkout)
            if "local" in parts:
                self.commands(checkout, checkout.local, "without a server")
            if parts & {"up", "served", "rpc", "train", "growth"}:
                with starting.up(checkout) as running:
                    self.running(checkout, running, parts, last=last)
            if "demo" in parts:
                self.demo(checkout)

    def running(self, checkout: Checkout, running: Up, parts: set[str], *, last: bool) -> None:
        if "up" in parts:
            grpc, page = "`netgraft up` until gRPC answers", "`netgraft up` until the page answers"
            self.table.add(Row(grpc, peer=FIVE), checkout.side, running.grpc_seconds)
            self.table.add(Row(page, peer=FIVE), checkout.side, running.page_seconds)
        if "served" in parts:
            self.table.add(
                Row(WARM), checkout.side, timed(lambda: first_use(running, next(self.counts)))
            )
            self.commands(checkout, [], "with a server")
        if "rpc" in parts:
            self.rpc(checkout, running)
        if "train" in parts:
            self.train(checkout, running)
        if "growth" in parts and last:
            self.growth(checkout, running)

    def peers(self, checkout: Checkout) -> None:
        command = [checkout.python, "-c", "import torch, torchvision"]
        seconds = timed(lambda: starting.run(command, checkout))
        self.table.add(Row(IMPORT), checkout.side, seconds)
        script = str(HERE / "tests/bench/bare_serve.py")
        for name, apps in ((SERVE, 1), (FIVE, 5)):
            command = [checkout.python, script, str(apps)]
            seconds, _ = starting.until_printed(command, "answered", checkout)
            self.table.add(Row(name), checkout.side, seconds)

    # Commands

    def commands(self, checkout: Checkout, options: list[str], where: str) -> None:
        """Each on a model that no command has met before, unless it says cached."""
        served = where == "with a server"
        target = "≤ 0.6 s" if served else ""

        def measure(name: str, *words: str, goal: str = target, peer: str = IMPORT) -> str:
            output: list[str] = []
            seconds = timed(lambda: output.append(checkout.run(*words, *options)))
            self.table.add(Row(f"`{name}`, {where}", "s", goal, peer), checkout.side, seconds)
            return output[0]

        goal = target or "≤ 1.3 × the import"
        count = str(next(self.counts))
        made = measure(
            "retarget resnet50", "retarget", MODEL, "--classes", count, "--json", goal=goal
        )
        model = starting.reply_of(made)["model"]["id"]
        measure("inspect", "inspect", model)
        measure("show, first", "show", model, goal=target or "≤ 1 s more than cached")
        measure("show, cached", "show", model, goal=goal)
        measure("plan", "plan", f"show resnet50, retarget to {count} classes")
        measure("models", "models", "--max-params", f"{count}000000")
        if served:  # there are none elsewhere
            measure("jobs", "jobs")

    # Services

    def rpc(self, checkout: Checkout, running: Up) -> None:
        client = running.client

        def resolve() -> object:
            return client.models.ResolveModel(models_pb2.ResolveModelRequest(model=MODEL))

        def draw() -> object:
            return client.graphs.DrawGraph(graph_pb2.DrawGraphRequest(model=MODEL))

        def retarget() -> object:
            return client.surgery.RetargetModel(retargeted(next(self.counts)))

        for name, call, times in (
            ("ResolveModel", resolve, CALLS),
            ("DrawGraph, cached", draw, CALLS),
            ("RetargetModel, new", retarget, CALLS // 4),
        ):
            call()  # the first of a model draws, or tries what others then share
            milliseconds = sorted(1e3 * timed(call) for _ in range(times))
            goal = "≤ 6 ms" if call is retarget else ""
            p50, p99 = statistics.median(milliseconds), milliseconds[int(0.99 * times) - 1]
            self.table.add(Row(f"{name}, p50", "ms", goal), checkout.side, p50)
            self.table.add(Row(f"{name}, p99", "ms"), checkout.side, p99)

    def train(self, checkout: Checkout, running: Up) -> None:
        request = surgery_pb2.RetargetModelRequest(model=TRAINED, classes=10)
        model = running.client.surgery.RetargetModel(request).model.id
        spec = tuning_pb2.TuningSpec(model=model, data="digits", epochs=1)
        tuning, start = running.client.tuning, time.perf_counter()
        job = tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec))
        seconds = 0.0
        for event in tuning.WatchJob(tuning_pb2.WatchJobRequest(id=job.id)):
            if event.kind == tuning_pb2.JobEvent.KIND_STEP and not seconds:
                seconds = time.perf_counter() - start
        if not seconds:
            raise starting.Failed(f"{checkout.side}: {job.id} took no step")
        self.table.add(Row("StartTuning until the first step"), checkout.side, seconds)

    def growth(self, checkout: Checkout, running: Up) -> None:
        """As many edits as were asked for; of a version that stores heads a tenth of them."""
        surgery, before, heads = running.client.surgery, stored(checkout), 0
        first = surgery.RetargetModel(retargeted(next(self.counts)))
        edits = self.edits if first.stored_bytes == 0 else self.edits // 10
        heads += first.stored_bytes
        for _ in range(edits - 1):
            heads += surgery.RetargetModel(retargeted(next(self.counts))).stored_bytes
        grown = (stored(checkout) - before) / edits
        name = "the state grows by, an edit without names"
        self.table.add(Row(name, "kB", "≤ 4 kB"), checkout.side, grown / 1e3)
        self.table.add(
            Row("… of it not the head", "kB"), checkout.side, (grown - heads / edits) / 1e3
        )

    def demo(self, checkout: Checkout) -> None:
        with (
            starting.fresh_clone(checkout, self.folder) as clone,
            tempfile.TemporaryDirectory(dir=self.folder) as state,
        ):
            own = Checkout(checkout.side, checkout.root, Path(state))
            seconds, line = starting.until_printed(
                ["make", "demo", "STAY=0"], r"accuracy +[\d.]+ %", own, cwd=clone
            )
        self.table.add(Row("`make demo` in a fresh clone", "s", "≤ 75 s"), checkout.side, seconds)
        percent = float(line.split("%")[0].split()[-1])
        self.table.add(Row("… its accuracy", "%", "> 90 %"), checkout.side, percent)


def first_use(running: Up, classes: int) -> None:
    """Edit, inspect and draw another model: a server that has just started imports torch first."""
    model = running.client.surgery.RetargetModel(
        surgery_pb2.RetargetModelRequest(model=TRAINED, classes=classes)
    ).model.id
    running.client.surgery.InspectModel(surgery_pb2.InspectModelRequest(model=model))
    running.client.graphs.DrawGraph(graph_pb2.DrawGraphRequest(model=model))


def retargeted(classes: int) -> surgery_pb2.RetargetModelRequest:
    return surgery_pb2.RetargetModelRequest(model=MODEL, classes=classes)


def stored(checkout: Checkout) -> int:
    """Bytes of the store and the database, whose write-ahead log is emptied first."""
    database = checkout.state / "netgraft.db"
    with sqlite3.connect(database, timeout=60) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    files = [*checkout.state.glob("netgraft.db*"), *(checkout.state / "store").rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file())


PARTS = ("peers", "up", "served", "local", "rpc", "train", "growth", "demo")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  bench_start.py --before ../netgraft-0.1 --json start.json\n"
        "  bench_start.py --before ../netgraft-0.1 --only peers,served,local\n"
        "  bench_start.py --only demo --rounds 1",
    )
    parser.add_argument(
        "--before", type=Path, metavar="PATH", help="checkout of an earlier version"
    )
    parser.add_argument("--only", metavar="PARTS", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--edits", type=int, default=1000, help="for growth")
    parser.add_argument("--demo", action="store_true", help="measure the demo too: minutes a round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    options = parser.parse_args()
    parts = set(options.only.split(",")) if options.only else set(PARTS) - {"demo"}
    parts |= {"demo"} if options.demo else set()
    if unknown := parts - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="netgraft-start-") as folder:
        roots = {"before": options.before, "after": HERE}
        checkouts = []
        for side, root in roots.items():
            if root is not None:
                state = Path(folder) / side
                state.mkdir()
                checkouts.append(Checkout(side, root.resolve(), state))
        bench = Bench(checkouts, Path(folder), options.edits)
        try:
            for number in range(1, options.rounds + 1):
                say(f"round {number} of {options.rounds}")
                bench.round(parts, last=number == options.rounds)
        except (starting.Failed, subprocess.SubprocessError) as failure:
            say(str(failure))
            raise SystemExit(1) from failure
        finally:
            print(bench.table.markdown())  # noqa: T201
            if options.json:
                options.json.write_text(
                    json.dumps(bench.table.plain(), ensure_ascii=False, indent=1)
                )


if __name__ == "__main__":
    main()
