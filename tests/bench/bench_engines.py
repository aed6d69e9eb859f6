"""What each engine costs on one machine, beside bare peers, in one run. Run by hand:

    python tests/bench/bench_engines.py --rounds 3

Each engine gets a state folder and ports of its own, and is ended before the next is started. The
peers: a bare `grpc.aio` server that echoes the same message, and a bare Ray Serve with five empty
apps. Medians over the rounds.

Parts (`--only` takes a list of them):
  peers   a bare `import torch, torchvision`; the bare Ray Serve, its start and its memory
  up      `netgraft up` until each service and the page answer; the first picture's document
  idle    proportional set size and share of a core of all processes, when nobody asks anything
  rpc     ResolveModel beside the echo, one at a time and 16 at once; a cached DrawGraph; retargets
  busy    ResolveModel while six first drawings run
  train   StartTuning until the first batch, and the end of the last validation until SUCCEEDED
"""

import argparse
import asyncio
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import psutil
import starting
from bench_start import Row, Table, say, timed
from starting import Checkout, Up

from netgraft.errors import NetgraftError
from netgraft.v1 import agent_pb2, graph_pb2, models_pb2, surgery_pb2, tuning_pb2

HERE = Path(__file__).parents[2]
ENGINES = ("local", "ray")
PARTS = ("peers", "up", "idle", "rpc", "busy", "train")
MODEL = "resnet50@none"
TRAINED = "mobilenet_v2@none"
DRAWN = ("convnext_tiny", "densenet121", "efficientnet_b0", "regnet_y_400mf", "swin_t", "vit_b_16")
"""Six models that nothing else here draws."""
CALLS = 500
AT_ONCE = 16
QUIET_SECONDS = 20.0
SETTLE_SECONDS = 15.0
"""After which a server that has just started does nothing more of its own accord."""

Call = Callable[[], Awaitable[Any]]


@contextmanager
def bare_serve(checkout: Checkout) -> Iterator[float]:
    """A bare Ray Serve with five empty apps; the seconds until it answered."""
    command = [checkout.python, str(HERE / "tests/bench/bare_serve.py"), "5", "--stay"]
    with _answering(command, checkout) as (seconds, process):
        yield seconds
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=starting.END_SECONDS)


@contextmanager
def bare_echo(checkout: Checkout, message: bytes) -> Iterator[str]:
    """A bare server that answers ResolveModel with a message; its address."""
    port = starting.free_port()
    command = [checkout.python, str(HERE / "tests/bench/bare_echo.py"), str(port)]
    with _answering(command, checkout, message):
        yield f"127.0.0.1:{port}"


@contextmanager
def _answering(
    command: list[str], checkout: Checkout, given: bytes = b""
) -> "Iterator[tuple[float, subprocess.Popen[bytes]]]":
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=checkout.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        if given:
            process.stdin.write(given)
            process.stdin.close()
        if b"answered" not in process.stdout.readline():
            raise starting.Failed(f"{command} did not answer")
        yield time.perf_counter() - start, process
    finally:
        starting.end(process)


def cost(pid: int, seconds: float) -> tuple[float, float, int]:
    """GiB of memory (PSS), share of a core in percent, and number of a process and all below it."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]

    def used() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in processes if process.is_running())

    before = used()
    time.sleep(seconds)
    share = 100 * (used() - before) / seconds
    memory = sum(process.memory_full_info().pss for process in processes)
    return memory / 2**30, share, len(processes)


class Bench:
    """One run of all engines."""

    def __init__(self, checkouts: list[Checkout]) -> None:
        self.checkouts = checkouts
        self.table = Table()
        self.counts = itertools.count(2)
        """Class counts; no two edits of a run are the same."""

    def add(self, name: str, unit: str, engine: str, value: float, target: str = "") -> None:
        self.table.add(Row(name, unit, target), engine, value)

    def round(self, parts: set[str]) -> None:
        for checkout in self.checkouts:
            with starting.up(checkout) as running:
                self.engine(checkout, running, parts)
        if "peers" in parts:
            self.peers(self.checkouts[0])

    def peers(self, checkout: Checkout) -> None:
        command = [checkout.python, "-c", "import torch, torchvision"]
        self.add("bare import torch, torchvision", "s", "peer", timed_run(command, checkout))
        with bare_serve(checkout) as seconds:
            self.add("up: each service answers", "s", "peer", seconds)
            pid = newest_child(self.checkouts[0].python)
            memory, share, count = cost(pid, QUIET_SECONDS)
        self.add("idle: memory (PSS)", "GiB", "peer", memory)
        self.add("idle: of a core", "%", "peer", share)
        self.add("idle: processes", "", "peer", count)

    def engine(self, checkout: Checkout, running: Up, parts: set[str]) -> None:
        if "up" in parts:
            self.up(checkout.side, running)
        time.sleep(SETTLE_SECONDS)
        if "idle" in parts:
            memory, share, count = cost(running.pid, QUIET_SECONDS)
            self.add("idle: memory (PSS)", "GiB", checkout.side, memory)
            self.add("idle: of a core", "%", checkout.side, share)
            self.add("idle: processes", "", checkout.side, count)
        if "rpc" in parts:
            self.rpc(checkout, running)
        if "busy" in parts:
            self.busy(checkout.side, running)
        if "train" in parts:
            self.train(checkout, running)

    def up(self, side: str, running: Up) -> None:
        each_service(running)
        seconds = max(time.perf_counter() - running.started, running.page_seconds)
        self.add("up: each service answers", "s", side, running.grpc_seconds)
        self.add("up: and the page", "s", side, seconds)
        graph = running.client.graphs.DrawGraph(graph_pb2.DrawGraphRequest(model=MODEL))
        request = graph_pb2.GetViewerFileRequest(model_id=graph.model_id, path="model.onnx")
        running.client.graphs.GetViewerFile(request)
        seconds = time.perf_counter() - running.started
        self.add(f"up: the first document of {MODEL}", "s", side, seconds)

    def rpc(self, checkout: Checkout, running: Up) -> None:
        resolve = models_pb2.ResolveModelRequest(model=MODEL)
        draw = graph_pb2.DrawGraphRequest(model=MODEL)
        running.client.graphs.DrawGraph(draw)
        message = running.client.models.ResolveModel(resolve).SerializeToString()
        address, token = f"127.0.0.1:{checkout.grpc_port}", checkout.token()
        with bare_echo(checkout, message) as echo:
            for name, where, method, request, reply in (
                ("bare echo", echo, "Models/ResolveModel", resolve, models_pb2.Model),
                ("ResolveModel", address, "Models/ResolveModel", resolve, models_pb2.Model),
                ("DrawGraph, cached", address, "Graphs/DrawGraph", draw, graph_pb2.Graph),
            ):
                p50, rate = asyncio.run(load(where, token, method, request, reply))
                self.add(f"{name}, p50", "ms", checkout.side, p50)
                self.add(f"{name}, {AT_ONCE} at once", "/s", checkout.side, rate)

        def retarget() -> object:
            request = surgery_pb2.RetargetModelRequest(model=MODEL, classes=next(self.counts))
            return running.client.surgery.RetargetModel(request)

        retarget()
        p50 = statistics.median(1e3 * timed(retarget) for _ in range(100))
        self.add("RetargetModel, new, p50", "ms", checkout.side, p50)

    def busy(self, side: str, running: Up) -> None:
        def draw(name: str) -> object:
            return running.client.graphs.DrawGraph(graph_pb2.DrawGraphRequest(model=name))

        def resolve() -> object:
            return running.client.models.ResolveModel(models_pb2.ResolveModelRequest(model=MODEL))

        # Not drawn before in this state: each round has other numbers of classes.
        models = [self.retargeted(running, f"{name}@none") for name in DRAWN]
        with ThreadPoolExecutor(len(models)) as pool:
            drawings = [pool.submit(draw, model) for model in models]
            took = []
            while not all(drawing.done() for drawing in drawings):
                took.append(1e3 * timed(resolve))
            for drawing in drawings:
                drawing.result()
        took.sort()
        self.add("ResolveModel beside six drawings, p50", "ms", side, statistics.median(took))
        self.add("… p99", "ms", side, took[int(0.99 * len(took))])
        self.add("… longest", "ms", side, took[-1])

    def retargeted(self, running: Up, model: str) -> str:
        request = surgery_pb2.RetargetModelRequest(model=model, classes=next(self.counts))
        return running.client.surgery.RetargetModel(request).model.id

    def train(self, checkout: Checkout, running: Up) -> None:
        spec = tuning_pb2.TuningSpec(
            model=self.retargeted_to_digits(running), data="digits", epochs=1, workers=1
        )
        tuning, start = running.client.tuning, time.perf_counter()
        job = tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec))
        self.add("StartTuning answers", "s", checkout.side, time.perf_counter() - start)
        measured = ended = 0.0
        first_step = 0.0
        for event in tuning.WatchJob(tuning_pb2.WatchJobRequest(id=job.id)):
            seconds = event.time.ToDatetime().timestamp()
            if event.kind == tuning_pb2.JobEvent.KIND_STEP and not first_step:
                first_step = time.perf_counter() - start
            if event.kind == tuning_pb2.JobEvent.KIND_EPOCH:
                measured = seconds
            ended = seconds
        said = "".join(
            path.read_text() for path in (checkout.state / "runs" / job.id).rglob("*.log")
        )
        found = re.search(r"the first batch is there ([\d.]+) s", said)
        if found:
            name = "StartTuning until the first batch"
            self.add(name, "s", checkout.side, float(found.group(1)))
        self.add("StartTuning until the first step's event", "s", checkout.side, first_step)
        self.add("the last validation until SUCCEEDED", "s", checkout.side, ended - measured)

    def retargeted_to_digits(self, running: Up) -> str:
        request = surgery_pb2.RetargetModelRequest(model=TRAINED, classes=10)
        return running.client.surgery.RetargetModel(request).model.id


def timed_run(command: list[str], checkout: Checkout) -> float:
    return timed(lambda: starting.run(command, checkout))


def newest_child(python: str) -> int:
    """The process of ours that was started last."""
    children = psutil.Process().children()
    return max(children, key=lambda child: child.create_time()).pid


def each_service(running: Up) -> None:
    """One rpc of each service answers; a refusal is an answer. Raises Unreachable."""
    unknown = "0" * 64
    calls: tuple[Callable[[], object], ...] = (
        lambda: running.client.models.GetModel(models_pb2.GetModelRequest(id=unknown)),
        lambda: running.client.graphs.GetViewerFile(
            graph_pb2.GetViewerFileRequest(model_id=unknown)
        ),
        lambda: running.client.surgery.UndoEdit(surgery_pb2.UndoEditRequest(model=unknown)),
        lambda: running.client.tuning.ListJobs(tuning_pb2.ListJobsRequest()),
        lambda: running.client.agent.GetConversation(agent_pb2.GetConversationRequest(id="bench")),
    )
    for call in calls:
        try:
            call()
        except NetgraftError as error:
            if error.reason == "UNREACHABLE":
                raise


async def load(
    address: str, token: str, method: str, request: Any, reply: Any
) -> tuple[float, float]:
    """Milliseconds of a call, the median of one after the other; calls a second, many at once."""
    service = method.partition("/")[0].lower()
    metadata = (("authorization", f"Bearer {token}"), ("application", service))
    async with grpc.aio.insecure_channel(address) as channel:
        rpc = channel.unary_unary(
            f"/netgraft.v1.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )

        async def once() -> float:
            start = time.perf_counter()
            await rpc(request, metadata=metadata, timeout=60)
            return 1e3 * (time.perf_counter() - start)

        for _ in range(50):
            await once()
        p50 = statistics.median([await once() for _ in range(CALLS)])

        async def several() -> None:
            for _ in range(CALLS // 4):
                await once()

        start = time.perf_counter()
        await asyncio.gather(*(several() for _ in range(AT_ONCE)))
        return p50, AT_ONCE * (CALLS // 4) / (time.perf_counter() - start)


def markdown(table: Table) -> str:
    sides = (*ENGINES, "peer")
    lines = ["| what | local | Ray | bare peer |", "|---|---|---|---|"]
    for row in table.samples:
        cells = [shown(table.median(row.name, side), row.unit) for side in sides]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:,.{0 if value >= 100 else 2}f} {unit}".strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="PARTS", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--engines", default=",".join(ENGINES), help="of local, ray")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    options = parser.parse_args()
    parts = set(options.only.split(",")) if options.only else set(PARTS)
    if unknown := parts - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    bench: Bench | None = None
    try:
        for number in range(1, options.rounds + 1):
            say(f"round {number} of {options.rounds}")
            with tempfile.TemporaryDirectory(prefix="netgraft-engines-") as folder:
                bench = bench or Bench([])
                bench.checkouts = [
                    made(engine, Path(folder)) for engine in options.engines.split(",")
                ]
                bench.round(parts)
    except (starting.Failed, subprocess.SubprocessError) as failure:
        say(str(failure))
        raise SystemExit(1) from failure
    finally:
        if bench:
            print(markdown(bench.table))  # noqa: T201
            if options.json:
                options.json.write_text(json.dumps(bench.table.plain(), indent=1))


def made(engine: str, folder: Path) -> Checkout:
    """A fresh state for an engine of this checkout."""
    state = folder / engine
    state.mkdir()
    return Checkout(engine, HERE, state, engine=engine)


if __name__ == "__main__":
    sys.exit(main())
