"""Shared by the coverage runs over the zoo: choose names, record results, resume.

The output (JSON lines) is the memory: a second run goes on where the first stopped.
"""

import argparse
import gc
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from netgraft.models.zoo.catalogue import entries
from netgraft.models.zoo.entry import Entry

Result = dict[str, object]
Examine = Callable[[Entry], Result]
"""Looks at one name; says "outcome", and "why" when that is "failed"."""


def run(
    description: str, examine: Examine, say: Callable[[Result], str], tasks: tuple[str, ...] = ()
) -> list[Result]:
    """Examine what the command line chose; all results, those of earlier runs too."""
    options = parse(description)
    done = {str(line["name"]): line for line in recorded(options.output)}
    for entry in chosen(options, tasks):
        if entry.name in done:
            continue
        result = done[entry.name] = timed(entry, examine)
        print(f"{result['outcome']:9} {entry.name} ({result['seconds']} s): {say(result)}", flush=True)  # fmt: skip  # noqa: E501, T201
        with options.output.open("a") as file:
            file.write(json.dumps(result) + "\n")
        gc.collect()
    return list(done.values())


def parse(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--shard", default="1/1", help="i/n: every n-th name, from the i-th")
    parser.add_argument("--source", default="torchvision,timm", help="libraries")
    parser.add_argument("--names", default="", help="only these, separated by commas")
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args()


def recorded(path: Path) -> Iterator[Result]:
    if path.exists():
        yield from (json.loads(line) for line in path.read_text().splitlines())


def chosen(options: argparse.Namespace, tasks: tuple[str, ...]) -> list[Entry]:
    wanted = set(filter(None, options.names.split(",")))
    all_names = [
        entry
        for entry in entries()
        if entry.source in options.source.split(",")
        and (not tasks or entry.task in tasks)
        and (not wanted or entry.name in wanted)
    ]
    first, step = (int(part) for part in options.shard.split("/"))
    return all_names[first - 1 :: step]


def timed(entry: Entry, examine: Examine) -> Result:
    start = time.perf_counter()
    result: Result = {"name": entry.name, "source": entry.source, "task": entry.task}
    try:
        result |= examine(entry)
    except Exception as error:  # noqa: BLE001  # one broken name must not end a run of hours
        result |= {"outcome": "crashed", "why": repr(error)[:500]}
    result["seconds"] = round(time.perf_counter() - start, 2)
    return result
