"""Which heads are found and replaced, over every name of the zoo. Run by hand:

    OMP_NUM_THREADS=1 .venv/bin/python tests/bench/coverage_heads.py --shard 1/4 -o FILE

Every name is examined and retargeted on meta tensors, which needs no weights; the
retarget verifies the shapes of all outputs in evaluation and in training mode. Then one
training step is run: on real tensors with random weights where that takes at most
REAL_FLOPS operations, on meta tensors (shapes and gradients without values) above.
`--source timm` takes timm's names only, `--names a,b` a few; see `zoo_run`.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
import zoo_run
from torch import Tensor

from netgraft.anatomy.anatomy import Anatomies
from netgraft.anatomy.inspection import flops
from netgraft.errors import NetgraftError
from netgraft.models.bases import example_inputs
from netgraft.models.build import build
from netgraft.models.edits.retarget import Retarget
from netgraft.models.recipe import Recipe
from netgraft.models.resolve import resolve
from netgraft.models.zoo.entry import Entry
from netgraft.store.store import Store
from netgraft.surgery.retarget import retarget

TASKS = ("classification", "segmentation", "video", "detection")
CLASSES = 7
BATCH = 2
REAL_FLOPS = 30e9
"""Of one example forward; a step takes about three times that for each."""


def main() -> None:
    description = "Which heads are found and replaced, over every name of the zoo."
    results = zoo_run.run(description, examine, said, TASKS)
    counts = Counter((str(r["task"]), str(r["outcome"])) for r in results)
    for (task, outcome), count in sorted(counts.items()):
        print(f"{task:16} {outcome:9} {count}")  # noqa: T201
    steps = Counter(str(r["step"]) for r in results if "step" in r)
    print("training steps:", dict(steps))  # noqa: T201


def examine(entry: Entry) -> zoo_run.Result:
    """The result of retargeting one name, in a store of its own."""
    result: zoo_run.Result = {}
    with tempfile.TemporaryDirectory() as folder:
        anatomies = Anatomies(Store(folder, f"sqlite:///{folder}/db"))
        recipe = resolve(entry.name, "pretrained", anatomies.store).recipe
        try:
            seen = anatomies.of(recipe).trace
            result["heads"] = [asdict(head) for head in seen.heads]
            result["outputs"] = [output.shape for output in seen.outputs]
            edited = retarget(recipe, CLASSES, (), anatomies).recipe
            edit = edited.edits[-1]
            assert isinstance(edit, Retarget)
            if entry.task != "detection":  # its losses need targets: tests/surgery has them
                result |= training_step(edited, anatomies)
            result["edits"] = [str(head) for head in edit.heads]
            result["patches"] = [f"{p.path}.{p.attribute}" for p in edit.patches]
            result["outcome"] = "appended" if edit.heads[0].append else "replaced"
        except NetgraftError as error:
            result |= {"outcome": "failed", "why": str(error)}
        finally:
            anatomies.store.engine.dispose()
    return result


def training_step(edited: Recipe, anatomies: Anatomies) -> zoo_run.Result:
    """One step of plain SGD: every new head must get a gradient, and move where it has values."""
    real = flops(edited, anatomies.store) <= REAL_FLOPS
    device = "cpu" if real else "meta"
    torch.manual_seed(0)
    module = build(edited, anatomies.store, device=device, with_weights=False).train()
    heads = [head.path for head in anatomies.of(edited).trace.heads if head.classes]
    owned = {path: module.get_submodule(path).weight for path in heads}
    before = {path: weight.detach().clone() for path, weight in owned.items()}
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-2)
    inputs = example_inputs(edited.base, BATCH, device)
    if real:
        inputs = tuple(torch.rand_like(x) for x in inputs)
    torch.stack([leaf.float().square().mean() for leaf in leaves(module(*inputs))]).sum().backward()
    optimizer.step()
    still = [path for path, weight in owned.items() if weight.grad is None]
    if real:
        still += [path for path, weight in owned.items() if torch.equal(weight, before[path])]
    if still:
        return {"step": "failed", "still": sorted(set(still))}
    return {"step": "real" if real else "meta"}


def leaves(output: Any) -> Iterator[Tensor]:
    """The tensors of an output, whatever holds them."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        for part in output.values():
            yield from leaves(part)
    elif isinstance(output, list | tuple):
        for part in output:
            yield from leaves(part)


def said(result: zoo_run.Result) -> str:
    edits = "; ".join(result.get("edits", []))  # type: ignore[call-overload]
    return str(result.get("why") or f"{edits} (step: {result.get('step', 'none')})")


if __name__ == "__main__":
    main()
