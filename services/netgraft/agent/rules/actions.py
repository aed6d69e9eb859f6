"""The action that a clause asks for, by its verb or else by its object."""

from collections.abc import Callable

from netgraft.agent.rules.clause import REFERENCES, SEARCH, SPECIFIC, TRAINING, Clause
from netgraft.agent.rules.text import has_han
from netgraft.agent.rules.tokens import Token

_ACTIONS = {
    "setloss": "set_loss", "train": "finetune", "UNFREEZE_ALL": "unfreeze", "frozen": "freeze",
}  # fmt: skip
_LOOKS = ("classes", "show", "inspect", "howmany", "what_can", "list")
_MEASURES = ("params", "flops", "inputsize", "headinfo")


def action_of(clause: Clause) -> str:
    """The action's name in a plan, "use" for a mere mention, "" when there is none."""
    has = clause.having
    specific = [item for item in clause.items if item.has(*SPECIFIC)]
    if specific:
        return _specific(clause, specific)
    about = has("job", "state", "JOB") and not has("MODEL", "it")
    if about or (has("job") and has("list")):
        return _about_jobs(clause)
    if has("status_noun"):
        return "status"
    return _by_object(clause)


def _specific(clause: Clause, verbs: list[Token]) -> str:
    has = clause.having
    tag = next(tag for tag, _ in verbs[0].readings if tag in SPECIFIC)
    if len(verbs) > 1 and tag == "compare" and len(has("MODEL", "it", "original")) < 1:
        tag = next(tag for tag, _ in verbs[1].readings if tag in SPECIFIC)
    if tag in ("predict", "export") and has("CLASSES") and not has("INPUT", "FORMAT"):
        return "retarget"
    if tag == "predict" and has("CLASSES", "CLASS_NAMES") and not has("INPUT"):
        return "retarget"
    if tag == "evaluate" and has("INPUT") and not has("DATA"):
        return "predict"
    if (
        tag == "train"
        and has("LOSS")
        and len([i for i in clause.items if i.tag.isupper()]) == 1
        and has("loss")
    ):
        return "set_loss"
    return _ACTIONS.get(tag, tag)


def _about_jobs(clause: Clause) -> str:
    has = clause.having
    if has("status_noun"):
        return "status"
    if has("is") and clause.items[0].has("is") and has("state") and not has("list"):
        return "status"
    plural = any(item.text.lower().endswith("s") for item in has("job"))
    if has("state", "list", "howmany", "all") or plural:
        return "list_jobs"
    if has("show", "inspect", "want", "JOB"):
        chinese = any(has_han(item.text) for item in has("job"))
        return "list_jobs" if chinese and not has("JOB", "it") else "status"
    return ""


def _plural(clause: Clause) -> bool:
    nouns = clause.having("model")
    return any(noun.text.lower().endswith("s") or has_han(noun.text) for noun in nouns)


def _retargets(clause: Clause) -> bool:
    has = clause.having
    if has("change", "changeto") and has("head", "headinfo"):
        return not has(*TRAINING, "LOSS", "FORMAT")
    asked = has("show", "change", "changeto", "want", "to", "use", "head")
    owned = has("has") and has(*REFERENCES)
    return bool(has("CLASSES", "CLASS_NAMES") and (asked or owned) and not has("FORMAT"))


def _exports(clause: Clause) -> bool:
    asked = clause.having("show", "want", "change", "changeto", "load", "graph", "to", "use")
    return bool(clause.having("FORMAT") and asked)


def _sets_loss(clause: Clause) -> bool:
    asked = clause.having("change", "changeto", "use", "with")
    return bool(clause.having("LOSS") and asked and not clause.having(*TRAINING))


def _searches(clause: Clause) -> bool:
    has = clause.having
    if has("list"):
        return not has(*_MEASURES, "head") and not (has("MODEL") and has("onend"))
    return bool(has(*SEARCH) and (has("show", "want", "howmany") or _plural(clause)))


def _inspects(clause: Clause) -> bool:
    has = clause.having
    if has("list") and has("MODEL") and has("onend", "head"):
        return True
    if has(*_MEASURES, "details") or (has("inspect") and has(*REFERENCES, "graph", "head")):
        return True
    counted = has("classes", "head", "layer", "image", "MODEL", "it")
    if has("howmany") and counted and not has("EPOCHS", "LR"):
        return True
    return bool(has("show", "want", "inspect") and has("head"))


def _lists(clause: Clause) -> bool:
    """ "Show vgg models", with nothing in it that could be drawn."""
    has = clause.having
    if has("list"):
        return True
    english = any(noun.text.lower().endswith("s") for noun in has("model"))
    return bool(has("show") and english and not has(*REFERENCES, "graph"))


def _shows(clause: Clause) -> bool:
    has = clause.having
    wanted = has("want") and has("MODEL", "it") and not has(*TRAINING)
    return bool(has("show", "load", "graph") or wanted)


def _trains(clause: Clause) -> bool:
    return bool(clause.having("run") and clause.having("EPOCHS"))


_BY_OBJECT: tuple[tuple[str, Callable[[Clause], bool]], ...] = (
    ("evaluate", lambda clause: bool(clause.having("accuracy") and clause.having("DATA"))),
    ("predict", lambda clause: bool(clause.having("INPUT") and clause.having(*_LOOKS))),
    ("retarget", _retargets),
    ("export", _exports),
    ("set_loss", _sets_loss),
    ("list_models", _searches),
    ("inspect", _inspects),
    ("list_models", _lists),
    ("show", _shows),
    ("finetune", _trains),
    ("use", lambda clause: bool(clause.having("use"))),
)
"""Actions that a clause without a verb of its own may ask for; the first that fits is taken."""


def _by_object(clause: Clause) -> str:
    action = next((action for action, fits in _BY_OBJECT if fits(clause)), "")
    trains = action == "retarget" and clause.having(*TRAINING)
    return "finetune" if trains else action
