"""Clauses that change nothing → steps: show, compare, inspect, export, list_models, and jobs."""

from netgraft.agent.rules.ask import Ask
from netgraft.agent.rules.builder import Builder, slot, unique
from netgraft.agent.rules.clause import REFERENCES, Clause
from netgraft.agent.steps import (
    Cancel,
    Compare,
    Export,
    Inspect,
    ListJobs,
    ListModels,
    Resume,
    Show,
    Status,
)

_FORMATS = {
    "onnx": "onnx",
    "pt2": "pt2",
    "safetensors": "safetensors",
    "svg": "svg",
    "png": "png",
    "py": "python",
}
"""The format that a file name's suffix asks for."""
_OFFERED = ("onnx", "pt2", "safetensors")


def show(clause: Clause, plan: Builder) -> None:
    modules = [item.value for item in clause.having("MODULE")]
    for model in plan.models(clause):
        for module in modules or [None]:
            plan.add(Show, model, focus=module)


def inspect(clause: Clause, plan: Builder) -> None:
    plan.each(clause, Inspect)


def compare(clause: Clause, plan: Builder) -> None:
    items = clause.having(*REFERENCES)
    asked = Ask("other_model", {}, (), "model", clause.items[-1])
    if clause.having("original") and plan.root is None:
        raise asked
    references = [plan.reference(item) for item in items if not item.has("them")]
    if clause.having("them", "both") or (not items and len(plan.mentioned) > 1):
        references = [plan.made_of(name) for name in plan.mentioned[-2:]]
    if not references or (len(references) == 1 and items and items[0].has("it")):
        raise asked
    if len(references) == 1:
        references = [plan.latest if plan.latest != references[0] else None, *references]
    swapped = len(items) == 2 and items[-1].has("it")
    first, *others = references
    for other in others:
        a, b = (other, first) if swapped else (first, other)
        if a is b is None:
            raise asked
        plan.steps.append(Compare(a=a, b=b))


def export(clause: Clause, plan: Builder) -> None:
    formats = unique(item.value for item in clause.having("FORMAT"))
    for item in clause.having("DATA", "INPUT"):
        formats = formats or [_format_of(str(item.value))]
        plan.file_names.append(str(item.value))
    if not formats:
        raise Ask("format", {}, _OFFERED, "format", clause.items[-1])
    for model in plan.models(clause):
        for form in formats:
            plan.add(Export, model, format=form)


def _format_of(path: str) -> str:
    suffix = path.rsplit(".", 1)[-1].lower()
    if suffix not in _FORMATS:
        raise Ask("format", {}, _OFFERED)
    return _FORMATS[suffix]


def list_models(clause: Clause, plan: Builder) -> None:
    words = [
        item.text.lower().rstrip("s") if item.has("family") else item.text.lower()
        for item in clause.having("family", "MODEL", "nomodel")
    ]
    sources = (item.reading("source") for item in clause.having("source"))
    words += [source for source in sources if source == "timm"]
    tasks = [item.reading("task") for item in clause.having("task")]
    plan.steps.append(
        ListModels(
            query=" ".join(words) or None,
            task=tasks[0] if tasks else None,
            max_params=slot(clause, "MAX_PARAMS"),
            min_accuracy=slot(clause, "MIN_ACCURACY"),
            limit=slot(clause, "LIMIT"),
        )
    )


def list_jobs(clause: Clause, plan: Builder) -> None:
    states = [item.reading("state") for item in clause.having("state")]
    plan.steps.append(ListJobs(state=states[0] if states else None))


def status(clause: Clause, plan: Builder) -> None:
    plan.steps.append(Status(job=slot(clause, "JOB")))


def cancel(clause: Clause, plan: Builder) -> None:
    plan.steps.append(Cancel(job=slot(clause, "JOB")))


def resume(clause: Clause, plan: Builder) -> None:
    tags = ("JOB", "EPOCHS", "MAX_MINUTES", "MAX_COST")
    plan.steps.append(Resume(**{tag.lower(): slot(clause, tag) for tag in tags}))
