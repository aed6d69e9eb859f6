"""Which heads are found and replaced, over every name of the zoo. Run by hand:

    OMP_NUM_THREADS=1 .venv/bin/python tests/bench/coverage_heads.py --shard 1/4 -o FILE

Every name is looked at and retargeted on meta tensors, which needs no weights. FILE
(JSON lines) remembers what was done: a second run goes on where the first stopped.
`--source timm` takes timm's names, `--names a,b` a few.
"""

import argparse
import gc
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from netgraft.errors import NetgraftError
from netgraft.models.catalogue import Entry, entries
from netgraft.models.recipe import Retarget
from netgraft.models.store import Store
from netgraft.models.zoo import resolve
from netgraft.surgery.anatomy import Anatomies
from netgraft.surgery.retarget import retarget

TASKS = ("classification", "segmentation", "video", "detection")
CLASSES = 7


def main() -> None:
    arguments = parse()
    done = {line["name"]: line for line in recorded(arguments.output)}
    for entry in chosen(arguments):
        if entry.name in done:
            continue
        result = examine(entry)
        done[entry.name] = result
        print(said(result), flush=True)  # noqa: T201
        with arguments.output.open("a") as file:
            file.write(json.dumps(result) + "\n")
        gc.collect()
    summary(list(done.values()))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shard", default="1/1", help="i/n: every n-th name, from the i-th")
    parser.add_argument("--source", default="torchvision", choices=("torchvision", "timm"))
    parser.add_argument("--names", default="", help="only these, separated by commas")
    parser.add_argument("-o", "--output", type=Path, default=Path("coverage_heads.jsonl"))
    return parser.parse_args()


def recorded(path: Path) -> Iterator[dict[str, object]]:
    if path.exists():
        yield from (json.loads(line) for line in path.read_text().splitlines())


def chosen(arguments: argparse.Namespace) -> list[Entry]:
    wanted = set(filter(None, arguments.names.split(",")))
    all_names = [
        entry
        for entry in entries()
        if entry.source == arguments.source
        and entry.task in TASKS
        and (not wanted or entry.name in wanted)
    ]
    first, step = (int(part) for part in arguments.shard.split("/"))
    return all_names[first - 1 :: step]


def examine(entry: Entry) -> dict[str, object]:
    """What happens when one name is retargeted, in a store of its own."""
    start = time.perf_counter()
    result: dict[str, object] = {"name": entry.name, "task": entry.task}
    with tempfile.TemporaryDirectory() as folder:
        anatomies = Anatomies(Store(folder, f"sqlite:///{folder}/db"))
        recipe = resolve(entry.name, "pretrained", anatomies.store).recipe
        try:
            seen = anatomies.of(recipe).trace
            result["heads"] = [asdict(head) for head in seen.heads]
            result["outputs"] = [output.shape for output in seen.outputs]
            edit = retarget(recipe, CLASSES, (), anatomies).edits[-1]
            assert isinstance(edit, Retarget)
            result["edits"] = [str(head) for head in edit.heads]
            result["patches"] = [f"{p.path}.{p.attribute}" for p in edit.patches]
            result["outcome"] = "appended" if edit.heads[0].append else "replaced"
        except NetgraftError as error:
            result |= {"outcome": "failed", "why": str(error)}
        except Exception as error:  # noqa: BLE001  # one broken name must not end a run of hours
            result |= {"outcome": "crashed", "why": repr(error)[:500]}
        finally:
            anatomies.store.engine.dispose()
    result["seconds"] = round(time.perf_counter() - start, 2)
    return result


def said(result: dict[str, object]) -> str:
    details = result.get("why") or "; ".join(result["edits"])  # type: ignore[arg-type]
    return f"{result['outcome']:9} {result['name']} ({result['seconds']} s): {details}"


def summary(results: list[dict[str, object]]) -> None:
    counts = Counter((str(r["task"]), str(r["outcome"])) for r in results)
    for (task, outcome), count in sorted(counts.items()):
        print(f"{task:16} {outcome:9} {count}")  # noqa: T201


if __name__ == "__main__":
    main()
