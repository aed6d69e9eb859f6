"""Clauses that edit a model → steps: retarget, freeze, unfreeze, set_loss, undo."""

from typing import Any

from netgraft.agent.rules.ask import Ask
from netgraft.agent.rules.builder import Builder, slot, unique
from netgraft.agent.rules.clause import LAYERS, Clause
from netgraft.agent.rules.tokens import Token
from netgraft.agent.steps import Freeze, Retarget, SetLoss, Step, Undo, Unfreeze

MOST_UNDONE = 50


def retarget(clause: Clause, plan: Builder) -> None:
    plan.each(clause, Retarget, **classes(clause))


def classes(clause: Clause) -> dict[str, Any]:
    """The fields of a new head. Raises Ask."""
    count, names = slot(clause, "CLASSES"), slot(clause, "CLASS_NAMES")
    if count is None and names is None:
        raise Ask("classes", {}, ("2", "10", "100"), "classes", clause.items[-1])
    if count is not None and names is not None and count != len(names):
        raise Ask("counts", {"count": count, "named": len(names)}, (), "classes")
    return {"classes": count, "class_names": tuple(names) if names else None}


def freeze(clause: Clause, plan: Builder) -> None:
    if clause.having("excepthead"):
        plan.each(clause, Freeze, layers=("backbone",))
    else:
        _layers(clause, plan, Freeze, Unfreeze)


def unfreeze(clause: Clause, plan: Builder) -> None:
    if clause.having("excepthead"):
        plan.each(clause, Unfreeze, layers=("all",))
        plan.add(Freeze, plan.latest, layers=("head",))
    else:
        _layers(clause, plan, Unfreeze, Freeze)


def _layers(clause: Clause, plan: Builder, kind: type[Step], opposite: type[Step]) -> None:
    if clause.having("UNFREEZE_ALL"):
        plan.each(clause, kind, layers=("all",))
        return
    named = [item for item in clause.items if item.has(*LAYERS)]
    excepted = clause.having("except")
    if excepted:
        _all_except(clause, plan, kind, opposite, named, excepted[0])
        return
    layers = unique(_layer(item, plan) for item in named)
    # "all layers of the backbone", 把主干全部解冻: a word of quantity beside a name
    layers = [layer for layer in layers if layer != "all"] or layers
    if not layers:
        raise Ask("layers", {}, ("backbone", "head", "all"), "layers", clause.items[-1])
    plan.each(clause, kind, layers=tuple(layers))


def _all_except(
    clause: Clause,
    plan: Builder,
    kind: type[Step],
    opposite: type[Step],
    named: list[Token],
    excepted: Token,
) -> None:
    said = [item for item in named if item.start < excepted.start]
    if said and not any(item.has("all", "anything") for item in named):
        # "layer1 but not layer2": what is excepted was never meant
        plan.each(clause, kind, layers=tuple(unique(_layer(item, plan) for item in said)))
        return
    others = (item for item in named if item.tag != "all" and not item.has("all"))
    kept = unique(_layer(item, plan) for item in others)
    if not kept:
        raise Ask("layers", {}, ("backbone", "head"), "layers", clause.items[-1])
    if kept == ["head"] and kind is Freeze:
        plan.each(clause, kind, layers=("backbone",))
        return
    plan.each(clause, kind, layers=("all",))
    plan.add(opposite, plan.latest, layers=tuple(kept))


def _layer(item: Token, plan: Builder) -> str:
    if item.has("rest"):
        if _head_was_spoken_of(plan):
            return "backbone"
        raise Ask("layers", {}, ("backbone", "head", "all"), "layers", item, replaces=True)
    if item.has("MODULE"):
        return str(item.value)
    if item.has("anything"):
        return "all"
    return next(tag for tag in ("backbone", "head", "all") if item.has(tag))


def _head_was_spoken_of(plan: Builder) -> bool:
    """True if "the rest" means everything except the head."""
    match plan.steps[-1:]:
        case [Retarget()]:
            return True
        case [Unfreeze(layers=layers)]:
            return "head" in layers
    return False


def set_loss(clause: Clause, plan: Builder) -> None:
    loss = slot(clause, "LOSS")
    if loss is None:
        options = ("cross_entropy", "label_smoothing", "focal")
        raise Ask("loss", {}, options, "loss", clause.items[-1])
    plan.each(clause, SetLoss, loss=loss)


def undo(clause: Clause, plan: Builder) -> None:
    for _ in range(_times(clause)):
        plan.each(clause, Undo)


def _times(clause: Clause) -> int:
    """The number of edits to undo: "twice", "the last three edits"."""
    for item in clause.having("times"):
        said = item.reading("times")
        return min(int(said or item.value), MOST_UNDONE)
    return 1
