"""Every word accounted for: what an action takes, and what it must not ignore.

The rule that keeps a plan from doing other than what was said: an item is glue, a
noun that goes with the action, or one of the action's slots. Anything else is asked about.
"""

from netgraft.agent.rules.ask import Ask
from netgraft.agent.rules.clause import ACCEPTS, REFERENCES, Clause
from netgraft.agent.rules.tokens import Token

_GLUE_WORDS = (
    "to for of in on with is has from between ba onend first a one run want change "
    "changeto use load only itself hello thanks yes netgraft again actually instead "
    "correct same before after done both them and question comma stop then not please "
    "show source filler slash "
)
GLUE = tuple(_GLUE_WORDS.split())
"""Tags that carry no meaning of their own once their neighbours are understood."""

_NOUN_WORDS = {
    "show": "weights graph model details layer picture inspect list howmany",
    "compare": "graph model params details inspect list howmany picture headinfo",
    "retarget": (
        "export head classes model layer headinfo task predict retarget classnames state "
        "picture dataset inspect"
    ),
    "freeze": "weights layer params model frozen train freeze",
    "unfreeze": "weights layer params model frozen train freeze unfreeze",
    "set_loss": "loss model train job setloss",
    "undo": "last job model retarget freeze layer steps params",
    "finetune": (
        "model job dataset train strategy layer optimizer classes headinfo head all "
        "picture task loss retarget classnames device predict"
    ),
    "evaluate": (
        "model accuracy dataset details evaluate job inspect picture howmany predict train"
    ),
    "predict": "show picture model classes predict inspect howmany list evaluate task dataset",
    "export": "weights model graph format picture params export details",
    "list_models": (
        "narrow all anything show model zoo params accuracy details list inspect it "
        "howmany task classes"
    ),
    "inspect": (
        "weights params flops inputsize headinfo head details howmany classes model "
        "layer graph image inspect list status backbone all"
    ),
    "status": (
        "state last job status_noun train it model status howmany inspect details list predict"
    ),
    "cancel": "last job train it cancel status_noun state",
    "resume": "last job train it resume state",
    "list_jobs": "last all anything job train list inspect howmany status_noun details it",
}
_NOUNS = {action: tuple(words.split()) for action, words in _NOUN_WORDS.items()}
"""Nouns and verbs that each action takes without turning them into a field."""


def account(clause: Clause) -> None:
    """Every item must be glue, a noun of the action or one of its slots. Raises Ask."""
    action = clause.action
    known = (*GLUE, *_NOUNS[action], *ACCEPTS[action], *REFERENCES) if action in _NOUNS else ()
    if action in ("list_jobs", "status", "cancel", "resume"):
        known = tuple(tag for tag in known if tag not in ("MODEL", "original", "family", "nomodel"))
    _numbers(clause)
    for item in clause.items:
        if action == "export" and item.has("DATA", "INPUT", "except"):
            continue
        if action in ("freeze", "unfreeze") and item.has("except", "excepthead"):
            continue
        if item.has(action, "times") or item.has(*known):
            continue
        if item.has(*_verb_tags(action)):
            continue
        raise not_understood(item)


def _verb_tags(action: str) -> tuple[str, ...]:
    return {"set_loss": ("setloss",), "finetune": ("train",), "unfreeze": ("UNFREEZE_ALL",),
            "list_models": ("list",)}.get(action, ())  # fmt: skip


_COUNTS = {"retarget": "CLASSES", "list_models": "LIMIT", "undo": "times"}


def _numbers(clause: Clause) -> None:
    """A bare number is what its clause counts: classes of a head, entries of a list."""
    tag = _COUNTS.get(clause.action)
    if tag is None or clause.having(tag):
        return
    for position, item in enumerate(clause.items):
        if item.tag == "num" and not item.has("one") and not item.value.percent:
            number = item.value.value
            clause.items[position] = Token(((tag, ""),), item.text, item.start, item.end, number)
            return


def not_understood(item: Token) -> Ask:
    if item.has("family", "nomodel") and item.value:
        about = "model" if item.has("family") else "unknown_model"
        return Ask(about, {"word": item.text}, item.value, "model", item, replaces=True)
    return Ask("word", {"word": item.text})
