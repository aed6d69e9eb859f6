"""Clauses about data → steps: finetune, evaluate, predict."""

from collections.abc import Sequence
from typing import Any

from netgraft.agent.rules.ask import Ask
from netgraft.agent.rules.builder import Builder, slot
from netgraft.agent.rules.clause import TRAINING, Clause
from netgraft.agent.rules.edits import classes
from netgraft.agent.steps import Evaluate, Finetune, Freeze, Predict, Retarget, Step, Unfreeze


def finetune(clause: Clause, plan: Builder) -> None:
    fields: dict[str, Any] = {tag.lower(): slot(clause, tag) for tag in TRAINING if tag.isupper()}
    del fields["samedata"]
    fields["loss"] = slot(clause, "LOSS")
    fields["data"] = _data(clause, plan)
    fields["strategy"] = _strategy(clause, fields["strategy"])
    if clause.having("all") and _all_frozen(plan.steps, plan.models(clause)):
        raise Ask("contradiction", {}, ("head", "all"))
    if fields["data"] is None:
        raise Ask("data", {}, ("digits",), "data", clause.items[-1])
    plan.data = fields["data"]
    retargets = clause.having("CLASSES", "CLASS_NAMES")
    for named in plan.models(clause):
        if retargets:
            plan.add(Retarget, named, **classes(clause))
        plan.add(Finetune, plan.latest if retargets else named, **fields)


def _strategy(clause: Clause, said: str | None) -> str | None:
    """The strategy: "probe" trains the head alone, "full" the whole model."""
    if clause.having("strategyname") and said is None:
        said = clause.having("strategyname")[-1].reading("strategyname")
    head = clause.having("head", "headinfo") and not clause.having("CLASSES", "CLASS_NAMES")
    if head and said is None:
        said = "probe"
    if clause.having("all") and said is None:
        said = "full"
    return said


def _data(clause: Clause, plan: Builder) -> str | None:
    said: str | None = slot(clause, "DATA")
    return plan.data if said is None and clause.having("SAMEDATA") else said


def evaluate(clause: Clause, plan: Builder) -> None:
    data = _data(clause, plan) or plan.data
    if data is None:
        raise Ask("data", {}, ("digits",), "data", clause.items[-1])
    plan.each(clause, Evaluate, data=data)


def predict(clause: Clause, plan: Builder) -> None:
    picture = slot(clause, "INPUT") or slot(clause, "DATA")
    if picture is None:
        raise Ask("input", {}, (), "input", clause.items[-1])
    plan.each(clause, Predict, input=picture)


def _all_frozen(steps: Sequence[Step], models: Sequence[str | None]) -> bool:
    match steps[-1:]:
        case [Freeze(layers=("all",))]:
            return models == [f"${len(steps)}"]
    return False


def check_training(steps: Sequence[Step]) -> None:
    """Freezing everything and then training contradicts itself. Raises Ask."""
    frozen: set[str] = set()
    for number, step in enumerate(steps, 1):
        match step:
            case Freeze(layers=("all",)):
                frozen.add(f"${number}")
            case Finetune(model=str(model)) | Unfreeze(model=str(model), layers=("all",)):
                if model in frozen:
                    raise Ask("contradiction", {}, ("head", "all"))
