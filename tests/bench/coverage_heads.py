"""Which heads are found and replaced, over every name of the zoo. Run by hand:

    OMP_NUM_THREADS=1 .venv/bin/python tests/bench/coverage_heads.py --shard 1/4 -o FILE

Every name is looked at and retargeted on meta tensors, which needs no weights.
`--source timm` takes timm's names only, `--names a,b` a few; see `zoo_run`.
"""

import tempfile
from collections import Counter
from dataclasses import asdict

import zoo_run

from netgraft.errors import NetgraftError
from netgraft.models.catalogue import Entry
from netgraft.models.recipe import Retarget
from netgraft.models.store import Store
from netgraft.models.zoo import resolve
from netgraft.surgery.anatomy import Anatomies
from netgraft.surgery.retarget import retarget

TASKS = ("classification", "segmentation", "video", "detection")
CLASSES = 7


def main() -> None:
    description = "Which heads are found and replaced, over every name of the zoo."
    results = zoo_run.run(description, examine, said, TASKS)
    counts = Counter((str(r["task"]), str(r["outcome"])) for r in results)
    for (task, outcome), count in sorted(counts.items()):
        print(f"{task:16} {outcome:9} {count}")  # noqa: T201


def examine(entry: Entry) -> zoo_run.Result:
    """What happens when one name is retargeted, in a store of its own."""
    result: zoo_run.Result = {}
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
        finally:
            anatomies.store.engine.dispose()
    return result


def said(result: zoo_run.Result) -> str:
    return str(result.get("why") or "; ".join(result["edits"]))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
