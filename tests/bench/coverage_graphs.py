"""Which models draw, and how well, over every name of the zoo: `make coverage-zoo`, or

    .venv/bin/python tests/bench/coverage_graphs.py --shard 1/2 -o FILE

A drawing counts as one with real edges when every output of the model is joined to an
input by operators that ran, and the parameters in the picture are those of the model.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator

import zoo_run

from netgraft.anatomy.inspection import flops
from netgraft.errors import NetgraftError
from netgraft.graph.capture.capture import capture, sizes
from netgraft.graph.capture.recording import (
    Argument,
    Recording,
    Step,
    Value,
    Weight,
    tensors,
    values_of,
)
from netgraft.graph.document import write
from netgraft.graph.drawings import RecipeSubject
from netgraft.graph.lens import cost_of
from netgraft.graph.nesting import nest
from netgraft.models.recipe import Recipe
from netgraft.models.resolve import resolve
from netgraft.models.zoo.entry import Entry
from netgraft.store.store import Store


def main() -> None:
    results = zoo_run.run("Which models draw, over every name of the zoo.", examine, said)
    counts = Counter((str(r["source"]), str(r["outcome"]), str(r.get("method"))) for r in results)
    for (source, outcome, method), count in sorted(counts.items()):
        print(f"{source:12} {outcome:9} {method:9} {count}")  # noqa: T201
    known = [result for result in results if result.get("flops_by_torch")]
    exact = sum(0.99 <= share(result) <= 1.01 for result in known)
    print(f"operations within 1 % of torch's: {exact} of {len(known)} that torch can count")  # noqa: T201
    for result in results:
        if result["outcome"] != "real":
            print(f"{result['name']}: {said(result)}")  # noqa: T201


def examine(entry: Entry) -> zoo_run.Result:
    """The facts about the picture of one name; nothing is kept."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder, f"sqlite:///{folder}/db")
        try:
            recipe = resolve(entry.name, "none", store).recipe
            recording, module = capture(RecipeSubject(recipe, store))
            counted = torchs_flops(recipe, store)
        except NetgraftError as error:
            return {"outcome": "failed", "why": str(error)}
        finally:
            store.engine.dispose()
    graph = nest(recording, sizes(module))
    ours = sum(cost_of(graph, operation.step, 1).flops for operation in graph.operations())
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    drawn = {weight.name for weight in weights(recording)} & parameters
    loose = [name for name, value in recording.outputs if not joined(value, recording)]
    result: zoo_run.Result = {
        "method": recording.method,
        "operators": sum(1 for _ in graph.operations()),
        "edges": sum(1 for step in recording.steps for _ in values_of(step)),
        "bytes": len(write(graph, entry.name)),
        "parameters": len(parameters),
        "undrawn": sorted(parameters - drawn)[:8],
        "undrawn_count": len(parameters - drawn),
        "loose_outputs": loose,
        "flops": ours,
        "flops_by_torch": counted,
    }
    whole = not loose and recording.outputs and len(drawn) >= 0.5 * len(parameters)
    return result | {"outcome": "real" if whole else "partial"}


def torchs_flops(recipe: Recipe, store: Store) -> int:
    """The count of `torch.utils.flop_counter`; 0 if it cannot count."""
    try:
        return flops(recipe, store)
    except (NetgraftError, RuntimeError, TypeError, ValueError):
        return 0


def weights(recording: Recording) -> Iterator[Weight]:
    for step in recording.steps:
        for argument in step.arguments.values():
            yield from (t for t in tensors(argument) if isinstance(t, Weight))


def joined(output: Argument, recording: Recording) -> bool:
    """True if a path leads back from an output to an input of the model."""
    makers: dict[Value, Step] = {value: s for s in recording.steps for value in s.outputs}
    seen: set[Value] = set()
    waiting = [output] if isinstance(output, Value) else []
    while waiting:
        value = waiting.pop()
        if value in recording.inputs:
            return True
        if value in seen or value not in makers:
            continue
        seen.add(value)
        waiting.extend(values_of(makers[value]))
    return False


def share(result: zoo_run.Result) -> float:
    """Our operations as a share of torch's."""
    return result["flops"] / result["flops_by_torch"]  # type: ignore[no-any-return, operator]


def said(result: zoo_run.Result) -> str:
    if "why" in result:
        return str(result["why"])
    notes = [f"{result['method']}, {result['operators']} operators"]
    if result["undrawn_count"]:
        notes.append(f"{result['undrawn_count']} parameters take no part: {result['undrawn']}")
    if result["flops_by_torch"] and not 0.99 <= share(result) <= 1.01:
        notes.append(f"operations are {share(result):.3f} of what torch counts")
    if result["loose_outputs"]:
        notes.append(f"outputs that no input reaches: {result['loose_outputs']}")
    return "; ".join(notes)


if __name__ == "__main__":
    main()
