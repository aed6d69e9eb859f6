"""For which names of the zoo one trial stands for every class count. Run by hand:

    OMP_NUM_THREADS=1 .venv/bin/python tests/bench/coverage_symbolic.py --shard 1/2 -o FILE

Every name is retargeted to a few counts, as the surgery service does it; what is known of
each without a run (`netgraft.surgery.symbolic`) is compared with that very model, built and
run on meta tensors. A name is "proven" where the counts beyond the first took no
run of the model, "tried" where each takes one of its own, and "wrong" where the two differ.
"""

import tempfile
from collections import Counter
from unittest import mock

import zoo_run

from netgraft.anatomy.anatomy import Anatomies, measure, traced
from netgraft.errors import NetgraftError
from netgraft.models.build import build
from netgraft.models.resolve import resolve
from netgraft.models.zoo.entry import Entry
from netgraft.store.store import Store
from netgraft.surgery import symbolic
from netgraft.surgery.retarget import retarget

TASKS = ("classification", "segmentation", "video", "detection")
COUNTS = (3, 37, 120)


def main() -> None:
    description = "For which names one trial stands for every class count."
    results = zoo_run.run(description, examine, said, TASKS)
    counts = Counter((str(r["task"]), str(r["outcome"])) for r in results)
    for (task, outcome), count in sorted(counts.items()):
        print(f"{task:16} {outcome:9} {count}")  # noqa: T201


def examine(entry: Entry) -> zoo_run.Result:
    """The result of retargeting one name, in a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        anatomies = Anatomies(Store(folder, f"sqlite:///{folder}/db"))
        try:
            return compared(entry.name, anatomies)
        except NetgraftError as error:
            return {"outcome": "failed", "why": str(error)}
        finally:
            anatomies.store.engine.dispose()


def compared(name: str, anatomies: Anatomies) -> zoo_run.Result:
    recipe = resolve(f"{name}@none", "pretrained", anatomies.store).recipe
    own: list[int] = []
    for count in COUNTS:
        with mock.patch.object(symbolic, "tried", wraps=symbolic.tried) as runs:
            edited = retarget(recipe, count, (), anatomies).recipe
        # The symbolic run is one of `tried` too, on an edit whose count is no number.
        own += [count for call in runs.call_args_list if type(call.args[1].classes) is int]
        module = build(edited, anatomies.store, device="meta")
        if anatomies.of(edited) != measure(module, traced(edited, module)):
            return {"outcome": "wrong", "why": f"at {count} classes"}
    return {"outcome": "tried" if own else "proven", "own": own}


def said(result: zoo_run.Result) -> str:
    return str(result.get("why") or (f"own runs at {result['own']}" if result["own"] else ""))


if __name__ == "__main__":
    main()
