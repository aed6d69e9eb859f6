"""Items → clauses: one action each, with everything said about it, in the order meant."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from netgraft.agent.rules.actions import action_of
from netgraft.agent.rules.clause import (
    ACCEPTS,
    BREAKS,
    LAYERS,
    REFERENCES,
    SEARCH,
    SPECIFIC,
    SPLITTING,
    TRAINING,
    Clause,
)
from netgraft.agent.rules.ordering import merged, ordered
from netgraft.agent.rules.text import has_han
from netgraft.agent.rules.tokens import Token


def clauses(items: Sequence[Token]) -> list[Clause]:
    """The clauses of a sentence in the order in which they are to happen."""
    found: list[Clause] = []
    held: list[Token] = []
    for chunk in _chunks(items):
        for part in _parts(chunk):
            clause = _clause(part)
            if clause.action == "use":
                _join(found, clause) if _wanted(found, clause) else held.extend(clause.items)
            elif clause.action:
                clause.items = [*held, *clause.items]
                held = []
                found.append(clause)
            elif held or not _join(found, clause):
                held.extend(clause.items)
    if held:
        _place(found, held)
    return ordered(merged(_split_mixed(found)))


def _chunks(items: Sequence[Token]) -> Iterable[list[Token]]:
    chunk: list[Token] = []
    for item in items:
        if item.has(*BREAKS) and not item.has(*SPECIFIC):
            if chunk:
                yield chunk
            # "after training" may stand for "then": the pause itself carries no meaning
            chunk = []
        else:
            chunk.append(item)
    if chunk:
        yield chunk


def _parts(chunk: list[Token]) -> Iterable[list[Token]]:
    """A chunk cut in front of its second verb, third verb…"""
    verbs = [n for n, item in enumerate(chunk) if item.has(*SPECIFIC) or _opens(chunk, n)]
    starts = [0]
    for previous, verb in pairwise(verbs):
        if _one_action(chunk, previous, verb):
            continue
        starts.append(_left_edge(chunk, previous + 1, verb))
    for start, end in zip(starts, [*starts[1:], len(chunk)], strict=True):
        if chunk[start:end]:
            yield chunk[start:end]


def _opens(chunk: list[Token], at: int) -> bool:
    """True if a soft verb has an object of its own, so that it is an action too."""
    if not chunk[at].has(*SPLITTING):
        return False
    rest = chunk[at + 1 :]
    for item in rest:
        if item.has(*SPECIFIC):
            return False
        if item.has(*REFERENCES, "graph", "model", "job"):
            return True
        if item.has(*ACCEPTS["finetune"]):
            return item.has("DATA") and chunk[at].has("use")
    return at > 0


_PHRASES = {
    "show": ("compare", "evaluate", "status", "predict"),
    "compare": ("compare",),
    "retarget": ("retarget", "predict"),
}
"""Verbs that make one action together with the verb in front of them."""


def _one_action(chunk: list[Token], first: int, second: int) -> bool:
    """ "Show the comparison", "tell … apart": one action in two verbs."""
    one, other = chunk[first], chunk[second]
    if one.has("frozen") or other.has("frozen"):
        return False
    if _same_verb(one, other) and not _objects(chunk, second + 1):
        return True
    if one.has("show", "inspect", "list", "load") and other.has("list", "inspect", "show"):
        between = chunk[first + 1 : second]
        return not any(item.has(*REFERENCES) or item.tag.isupper() for item in between)
    return any(one.has(tag) and other.has(*tags) for tag, tags in _PHRASES.items())


def _same_verb(one: Token, other: Token) -> bool:
    drawn = one.has("show", "load") and other.has("show", "load")
    return drawn or (one.tag == other.tag and one.has(*SPECIFIC, "list", "inspect"))


def _objects(chunk: list[Token], start: int) -> list[Token]:
    """Models and slots between a verb and the next."""
    objects: list[Token] = []
    for item in chunk[start:]:
        if item.has(*SPECIFIC, *SPLITTING):
            break
        if item.has(*REFERENCES, *LAYERS) or item.tag.isupper():
            objects.append(item)
    return objects


def _left_edge(chunk: list[Token], start: int, verb: int) -> int:
    """The index where the clause of the verb at `verb` begins: in Chinese, objects precede it."""
    for position in range(start, verb):
        item = chunk[position]
        if item.has("before", "after") and has_han(item.text):
            return position + 1
        if item.has("ba", "not", "before", "after", "first") or (
            has_han(item.text[:1]) and item.has("DATA", "with", "on", "only", "use")
        ):
            return position
    return verb


def _clause(part: list[Token]) -> Clause:
    clause = Clause("", list(part))
    clause.negated = any(item.has("not") for item in part) and any(
        item.has(*SPECIFIC, "show", "list", "run") for item in part
    )
    clause.action = action_of(clause)
    if clause.having("before"):
        clause.link = "before"
    elif clause.having("after"):
        clause.link = "after"
    return clause


def _accepts(action: str, items: Iterable[Token]) -> bool:
    slots = ACCEPTS[action]
    for item in items:
        if item.tag.isupper() and not item.has("MODEL", *slots):
            return False
        if item.has(*LAYERS, *SEARCH, "state", "unk") and not item.has(*slots):
            return False
        if item.has("params", "flops", "howmany", "if", "num", "UNSUPPORTED"):
            return False
    return True


def _wanted(found: list[Clause], clause: Clause) -> bool:
    slots = [item for item in clause.items if item.tag.isupper() and item.tag != "MODEL"]
    models = clause.having(*REFERENCES)
    return bool(found and slots and not models and _accepts(found[-1].action, clause.items))


def _join(found: list[Clause], clause: Clause) -> bool:
    """Add a verbless clause to the one before it, when all of it belongs there."""
    if not found:
        return False
    slots = [
        item for item in clause.items if item.tag.isupper() or item.has(*LAYERS, *SEARCH, "state")
    ]
    for earlier in reversed(found) if slots else found[-1:]:
        if _accepts(earlier.action, clause.items):
            if clause.having("MODEL") and earlier is not found[-1]:
                return False
            earlier.items.extend(clause.items)
            return True
    return not any(item.tag.isupper() or _content(item) for item in clause.items)


def _content(item: Token) -> bool:
    return not item.has(
        "a",
        "to",
        "for",
        "of",
        "in",
        "on",
        "with",
        "is",
        "first",
        "ba",
        "onend",
        "hello",
        "thanks",
        "yes",
        "please",
    )


def _place(found: list[Clause], held: list[Token]) -> None:
    """Place items without a verb in the clause they imply, else in the last (which will ask)."""
    has = Clause("", held).having
    if [item for item in has(*TRAINING) if found or not item.has("DATA")]:
        found.append(Clause("finetune", held))
    elif has("CLASSES", "CLASS_NAMES"):
        found.append(Clause("retarget", held))
    elif has("FORMAT"):
        found.append(Clause("export", held))
    elif has("LOSS"):
        found.append(Clause("set_loss", held))
    elif has("task", "MAX_PARAMS", "MIN_ACCURACY"):
        found.append(Clause("list_models", held))
    elif found:
        found[-1].items.extend(held)
    else:
        found.append(Clause("", held))


def _split_mixed(found: list[Clause]) -> list[Clause]:
    """ "show resnet50 with 10 classes as svg": an action may bring slots of another."""
    result: list[Clause] = []
    for clause in found:
        if clause.action == "show" and clause.having("CLASSES", "CLASS_NAMES"):
            taken = clause.having("CLASSES", "CLASS_NAMES", "MODEL", "classes", "head")
            result.append(Clause("retarget", taken))
            rest = [item for item in clause.items if item not in taken]
            result.append(Clause("show", rest))
        elif clause.action == "finetune" and clause.having("FORMAT"):
            taken = clause.having("FORMAT")
            clause.items = [item for item in clause.items if item not in taken]
            result += [clause, Clause("export", taken)]
        else:
            result.append(clause)
    return result
