"""How soon the local engine answers again when one of its processes was killed. Run by hand:

    python tests/bench/bench_kills.py --rounds 10

Each round kills, one after the other, the front, the page, a tensor worker and the fork server of
one `netgraft up`, and waits until what they are for is done again. At last `up` itself is killed,
until nothing of it lives, and another is asked to end. `--beside 2` has two processes compute all
the while, as on a machine that does other things.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import starting

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.e2e.up import Up, lives, running, wait_for  # noqa: E402

from netgraft.errors import NetgraftError  # noqa: E402
from netgraft.serving.local.control import ADDRESS, NoSupervisor, Supervisor  # noqa: E402
from netgraft.v1 import models_pb2  # noqa: E402

TINY = "timm/test_resnet@none"
WEIGHTS = Path(sys.prefix) / "share" / "netgraft-test-weights"
TARGETS = {"front": 5, "page": 5, "worker": 5, "fork server": 5, "up, killed": 5, "up, asked": 10}
"""Seconds, at most."""
SETTLE_SECONDS = 2.0
COMPUTING = "while True: sum(range(10_000))"


def resolves(up: Up) -> bool:
    with up.system.client() as client, suppress(NetgraftError, OSError):
        client.models.ResolveModel(models_pb2.ResolveModelRequest(model=TINY), timeout=5)
        return True
    return False


def exports(up: Up) -> bool:
    request = models_pb2.ExportModelRequest(model=TINY, format="state_dict")
    with up.system.client() as client, suppress(NetgraftError, OSError):
        return len(list(client.models.ExportModel(request))) > 0
    return False


def opens(up: Up) -> bool:
    return starting.page_answers(int(up.system.web.rpartition(":")[2]))


def forks(up: Up) -> bool:
    [front] = up.find("front")
    with suppress(NoSupervisor):
        Supervisor(psutil.Process(front).environ()[ADDRESS]).worker().close()
        return True
    return False


ANSWERS: dict[str, Callable[[Up], bool]] = {
    "front": resolves,
    "page": opens,
    "worker": exports,
    "fork server": forks,
}
"""What each process is for."""


def lose(up: Up, part: str) -> float:
    """Kill a process of a part; the seconds until another does what it is for."""
    wait_for(f"a sound {part}", lambda: ANSWERS[part](up))
    time.sleep(SETTLE_SECONDS)
    lost = up.kill(part)
    return wait_for(f"another {part}", lambda: lost not in up.find(part) and ANSWERS[part](up))


def end_killed(up: Up) -> float:
    parts = up.parts()
    up.process.kill()
    up.process.wait()
    return wait_for("the end of all", lambda: not any(map(lives, parts)))


def end_asked(up: Up) -> float:
    up.start()
    wait_for("a worker", lambda: exports(up))
    began = time.monotonic()
    up.process.terminate()
    up.process.wait()
    return time.monotonic() - began


@contextmanager
def computing(count: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    with ExitStack() as stack:
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", COMPUTING])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def measured(rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {part: [] for part in TARGETS}
    for number in range(1, rounds + 1):
        with (
            tempfile.TemporaryDirectory(prefix="netgraft-kills-") as folder,
            running(Path(folder), WEIGHTS) as up,
        ):
            for part in ANSWERS:
                seconds[part].append(lose(up, part))
            seconds["up, killed"].append(end_killed(up))
            seconds["up, asked"].append(end_asked(up))
        last = ", ".join(f"{part} {each[-1]:.2f}" for part, each in seconds.items())
        print(f"round {number} of {rounds}: {last}", file=sys.stderr, flush=True)  # noqa: T201
    return seconds


def markdown(seconds: dict[str, list[float]]) -> str:
    lines = ["| killed | median | 95 % | longest | target |", "|---|---|---|---|---|"]
    for part, each in seconds.items():
        p95 = sorted(each)[min(len(each) - 1, int(0.95 * len(each)))]
        lines.append(
            f"| {part} | {statistics.median(each):.2f} s | {p95:.2f} s | {max(each):.2f} s "
            f"| ≤ {TARGETS[part]} s |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--beside", type=int, default=0, help="processes that compute meanwhile")
    options = parser.parse_args()
    with computing(options.beside):
        print(markdown(measured(options.rounds)))  # noqa: T201


if __name__ == "__main__":
    main()
