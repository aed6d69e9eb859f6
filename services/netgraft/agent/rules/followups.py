"""Follow-ups to the last plan: corrections, "the same for", "only those under"."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from netgraft.agent.rules.clause import LAYERS, SEARCH, SPECIFIC
from netgraft.agent.rules.clauses import clauses
from netgraft.agent.rules.tokens import Token
from netgraft.agent.steps import Compare, Finetune, ListModels, Step, Steps, types_of

_LEADING = (
    "and",
    "with",
    "for",
    "then",
    "comma",
    "stop",
    "question",
    "it",
    "model",
    "correct",
    "run",
    "on",
    "ba",
    "to",
    "again",
)
_FIELDS: dict[str, tuple[tuple[str, str], ...]] = {
    "CLASSES": (("retarget", "classes"),),
    "CLASS_NAMES": (("retarget", "class_names"),),
    "DATA": (("finetune", "data"), ("forecast", "data"), ("evaluate", "data")),
    "INPUT": (("predict", "input"),),
    "FORMAT": (("export", "format"),),
    "LOSS": (("set_loss", "loss"), ("forecast", "loss"), ("finetune", "loss")),
    "JOB": (("status", "job"), ("cancel", "job"), ("resume", "job")),
    "MODULE": (("freeze", "layers"), ("unfreeze", "layers"), ("show", "focus")),
    "MAX_PARAMS": (("list_models", "max_params"),),
    "MIN_ACCURACY": (("list_models", "min_accuracy"),),
    "LIMIT": (("list_models", "limit"),),
    "task": (("list_models", "task"),),
    "head": (("freeze", "layers"), ("unfreeze", "layers")),
    "backbone": (("freeze", "layers"), ("unfreeze", "layers")),
    "all": (("freeze", "layers"), ("unfreeze", "layers")),
    "state": (("list_jobs", "state"),),
} | {
    name.upper(): (("finetune", name), ("forecast", name))
    for name in ("epochs", "lr", "batch_size", "optimizer", "workers", "device", "precision",
                 "strategy", "image_size", "seed", "max_minutes", "max_cost", "augment", "balance")
}  # fmt: skip
"""Slot → the fields that it may correct, the likeliest first."""


def edited(items: Sequence[Token], steps: Steps) -> Steps:
    """The last plan, changed as a follow-up says; () if the text is no such follow-up."""
    if (
        not steps
        or not items
        or any(item.has("unk", "nomodel", "UNSUPPORTED", "if") for item in items)
    ):
        return ()
    return _same_for(items, steps) or _narrowed(items, steps) or _corrected(items, steps)


def models_of(steps: Steps) -> list[str]:
    """Names of the models in a plan, in order."""
    names = (name for step in steps for _, name in step.references() if name[0] != "$")
    return list(dict.fromkeys(names))


def _same_for(items: Sequence[Token], steps: Steps) -> Steps:
    models = [item for item in items if item.has("MODEL")]
    said = any(item.has("same") for item in items)
    others = any(not item.has("MODEL", "same", *_LEADING) for item in items)
    leads = said or (items[0].has("and", "with", "for") and not items[0].has("slash"))
    if not leads or len(models) != 1 or others:
        return ()
    return _with_model(steps, str(models[0].value))


def _with_model(steps: Steps, name: str, old: str = "") -> Steps:
    """The plan with another model; a plan of the current model gets it at its first step.

    () where that step is of no model.
    """
    named = models_of(steps)
    if not named:
        first, *rest = steps
        field = "a" if isinstance(first, Compare) else "model"
        known = field in types_of(first.action)
        return (_changed(first, **{field: name}), *rest) if known else ()
    target = old or named[0]
    return tuple(
        _changed(step, **{field: name for field, said in step.references() if said == target})
        for step in steps
    )


def _changed(step: Step, **fields: Any) -> Step:
    return replace(step, **fields)


def _narrowed(items: Sequence[Token], steps: Steps) -> Steps:
    """ "Only those under 20M" after a listing."""
    last = steps[-1]
    if not isinstance(last, ListModels):
        return ()
    if any(item.has(*SPECIFIC, "MODEL", "graph") for item in items):
        return ()
    slots = [item for item in items if item.has(*SEARCH, "family")]
    fresh = any(item.has("list", "show") and not _refers(items) for item in items)
    if not slots or fresh or any(item.tag.isupper() and item not in slots for item in items):
        return ()
    found = clauses(
        [Token((("list", ""),), "", 0, 0), *[i for i in items if not i.has("list", "show", "it")]]
    )
    fields = _list_fields(found[0].items)
    return (replace(last, **fields),) if fields else ()


def _refers(items: Sequence[Token]) -> bool:
    return any(item.has("it", "them", "only", "narrow") for item in items)


def _list_fields(items: Sequence[Token]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for item in items:
        if item.has("family"):
            fields["query"] = item.text.lower().rstrip("s")
        elif item.has("task"):
            fields["task"] = item.reading("task")
        elif item.tag in ("MAX_PARAMS", "MIN_ACCURACY", "LIMIT"):
            fields[item.tag.lower()] = item.value
    return fields


def _corrected(items: Sequence[Token], steps: Steps) -> Steps:
    """ "No, 10 classes", "lr 0.001 instead", or only values: the whole plan, corrected."""
    marked = any(item.has("correct", "actually", "instead") for item in items)
    marked = marked or _swaps_model(items, steps) or _contrasts(items)
    verbs = [
        item for item in items if item.has(*SPECIFIC, "show", "list", "inspect", "load", "howmany")
    ]
    again = any(item.has("again") for item in items) and any(
        isinstance(step, Finetune) for step in steps
    )
    again = again and not any(item.has("DATA") for item in items)
    if not marked and not again and (verbs or not _only_values(items, steps)):
        return ()
    if any(item.has("family", "params", "flops") for item in items):
        return ()
    plan = list(steps)
    changed = again and all(
        item.has("again", "train", "run", "it", "with") or item.tag.isupper() for item in items
    )
    for item in items:
        if item.has("MODEL") and not _dismissed(items, item):
            plan = list(_with_model(tuple(plan), str(item.value), _replaced(items, item, steps)))
            changed = True
        elif item.tag == "num" and marked:
            changed = _only_number(plan, item.value.value) or changed
        elif _slot_fits(item):
            if not _set(plan, item):
                return ()
            changed = True
    if not changed or not _verbs_known(verbs, steps):
        return ()
    return tuple(plan)


def _contrasts(items: Sequence[Token]) -> bool:
    """ "Not resnet18, resnet34"."""
    models = [item for item in items if item.has("MODEL")]
    return len(models) == 2 and _dismissed(items, models[0])


def _swaps_model(items: Sequence[Token], steps: Steps) -> bool:
    """ "Switch to resnet101": only a model, to replace the plan's."""
    swaps = any(item.has("change", "changeto", "use") for item in items)
    models = [item for item in items if item.has("MODEL")]
    others = [item for item in items if item.tag.isupper() and not item.has("MODEL")]
    return swaps and len(models) == 1 and not others and bool(models_of(steps))


def _only_values(items: Sequence[Token], steps: Steps) -> bool:
    """True if a text without a verb gives only values that the last plan's steps already take."""
    slots = [item for item in items if _slot_fits(item)]
    generic = any(item.has("change", "changeto", "use", "want") for item in items)
    other = ("MODEL", "num", "job", "JOB", "DATA", "FORMAT", "INPUT") + (() if generic else ("it",))
    if not slots or any(item.has(*other) for item in items):
        return False
    taken = {step.action for step in steps}
    if generic and any(item.has("CLASSES", "CLASS_NAMES", "LOSS") for item in items):
        return False
    return all(any(action in taken for action, _ in _FIELDS[_slot_tag(item)]) for item in slots)


def _slot_fits(item: Token) -> bool:
    return any(tag in _FIELDS for tag, _ in item.readings)


def _slot_tag(item: Token) -> str:
    return next(tag for tag, _ in item.readings if tag in _FIELDS)


def _dismissed(items: Sequence[Token], item: Token) -> bool:
    """ "not resnet50": the model that was not meant."""
    at = list(items).index(item)
    if not at:
        return False
    denied = items[at - 1].text == "不是" and any(other.has("MODEL") for other in items[at + 1 :])
    return denied or items[at - 1].has("not")


def _replaced(items: Sequence[Token], item: Token, steps: Steps) -> str:
    dismissed = [i for i in items if i.has("MODEL") and i is not item and _dismissed(items, i)]
    return str(dismissed[0].value) if dismissed and dismissed[0].value in models_of(steps) else ""


def _set(plan: list[Step], item: Token) -> bool:
    """Write a slot where the plan has that field, else where it could have it."""
    tag = _slot_tag(item)
    places = [
        (number, name)
        for action, name in _FIELDS[tag]
        for number, step in enumerate(plan)
        if step.action == action
    ]
    present = [(number, name) for number, name in places if name in plan[number].said()]
    chosen = present or places
    if not chosen:
        return False
    number, name = chosen[-1]
    fields = {name: _value(item, tag, name)}
    if tag == "CLASSES":
        fields["class_names"] = ()
    elif tag == "CLASS_NAMES":
        fields["classes"] = None
    plan[number] = _changed(plan[number], **fields)
    return True


def _value(item: Token, tag: str, name: str) -> Any:
    """The value that a slot gives a field."""
    if tag == "CLASS_NAMES":
        return tuple(item.value)
    if tag in LAYERS:
        layer = str(item.value) if tag == "MODULE" else tag
        return layer if name == "focus" else (layer,)
    return item.reading(tag) if tag in ("task", "state") else item.value


def _only_number(plan: list[Step], value: Any) -> bool:
    """ "No, 20": clear only when the plan holds a single whole number."""
    places = [
        (number, name)
        for number, step in enumerate(plan)
        for name, old in step.said().items()
        if isinstance(old, int)
    ]
    if len(places) != 1:
        return False
    number, name = places[0]
    plan[number] = _changed(plan[number], **{name: value})
    return True


def _verbs_known(verbs: Sequence[Token], steps: Steps) -> bool:
    """Verbs in a correction must be those of the plan, else it is a new request."""
    names = {"train": "finetune", "setloss": "set_loss", "list": "list_models", "load": "show"}
    taken = {step.action for step in steps}
    return all(any(names.get(tag, tag) in taken for tag, _ in verb.readings) for verb in verbs)
