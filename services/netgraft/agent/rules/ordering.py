"""The order in which clauses are meant: "before training, freeze" says freeze first."""

from netgraft.agent.rules.clause import Clause
from netgraft.agent.rules.text import has_han


def merged(found: list[Clause]) -> list[Clause]:
    """ "Fine-tune on digits, …, train for 5 epochs" is one training said in two clauses."""
    result: list[Clause] = []
    for clause in found:
        same = next((other for other in result if _completes(other, clause)), None)
        if same:
            same.items.extend(clause.items)
            same.link = same.link or clause.link
        else:
            result.append(clause)
    return result


def _completes(one: Clause, other: Clause) -> bool:
    if one.action == other.action == "retarget":
        # "retarget resnet18, resnet34 and resnet50 to 10 classes": the count comes last
        said = ("CLASSES", "CLASS_NAMES")
        return not one.having(*said) and bool(other.having(*said)) and not other.having("retarget")
    if one.action != "finetune" or other.action != "finetune" or one.negated or other.negated:
        return False
    if one.link or other.link or (one.having("DATA") and other.having("DATA")):
        return False
    if other.having("MODEL", "family") and one.having("MODEL", "family"):
        return False
    tags = {item.tag for item in one.items if item.tag.isupper()}
    more = {item.tag for item in other.items if item.tag.isupper()}
    return bool(more) and not tags & (more - {"MODEL"})


def ordered(found: list[Clause]) -> list[Clause]:
    """The clauses in the order that their "before" and "after" give."""
    result: list[Clause] = []
    waiting = list(found)
    while waiting:
        clause = waiting.pop(0)
        if clause.link == "before" and waiting and _leads(clause):
            _lead(result, clause, waiting.pop(0), found)
        else:
            _put(result, clause, found)
    return result


def _lead(result: list[Clause], clause: Clause, first: Clause, found: list[Clause]) -> None:
    """ "Before X, do Y": Y, then X; an X without content of its own only says when."""
    _lend_model(clause, first)
    if _empty(clause) and _elsewhere(found, clause):
        _insert_before(result, first, clause.action)
    elif _empty(clause) and clause.action == "finetune":
        result.append(first)
    else:
        result += [first, clause]


def _put(result: list[Clause], clause: Clause, found: list[Clause]) -> None:
    if clause.link == "before" and _empty(clause) and result:
        # "…, but freeze the backbone before training": the training is another clause
        _insert_before(result, result.pop(), clause.action)
    elif clause.link == "after" and _empty(clause) and _elsewhere(found, clause):
        return
    elif clause.link == "after" and result and not has_han(clause.having("after")[0].text):
        _lend_model(result[-1], clause)
        result.insert(len(result) - 1, clause)
    elif clause.having("frozen"):
        _insert_before(result, clause, "finetune")
    else:
        result.append(clause)


def _empty(clause: Clause) -> bool:
    """True if a clause consists only of its action."""
    return not any(item.tag.isupper() for item in clause.items)


def _lend_model(later: Clause, earlier: Clause) -> None:
    """The clause that was moved to the front names the model that the other named."""
    named = later.having("MODEL")
    if named and not earlier.having("MODEL"):
        earlier.items = [item for item in earlier.items if not item.has("it")] + named[:1]


def _elsewhere(found: list[Clause], clause: Clause) -> bool:
    return any(other is not clause and other.action == clause.action for other in found)


def _insert_before(result: list[Clause], clause: Clause, action: str) -> None:
    for position, other in enumerate(result):
        if other.action == action:
            result.insert(position, clause)
            return
    result.append(clause)


def _leads(clause: Clause) -> bool:
    """True if the clause's link is its own opening (English) or close (Chinese)."""
    links = clause.having("before", "after")
    first = clause.items[0]
    return any(link is first or has_han(link.text) for link in links)
