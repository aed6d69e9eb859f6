"""Clauses → steps: slots become fields, models become names or "$N", gaps become questions."""

from collections.abc import Callable, Sequence

from netgraft.agent.rules import edits, training, views
from netgraft.agent.rules.accounting import GLUE, account, not_understood
from netgraft.agent.rules.ask import Ask
from netgraft.agent.rules.builder import Builder
from netgraft.agent.rules.clause import REFERENCES, Clause

_ASSEMBLERS: dict[str, Callable[[Clause, Builder], None]] = {
    assembler.__name__: assembler
    for assembler in (
        views.show, views.compare, views.inspect, views.export, views.list_models,
        views.list_jobs, views.status, views.cancel, views.resume,
        edits.retarget, edits.freeze, edits.unfreeze, edits.set_loss, edits.undo,
        training.finetune, training.evaluate, training.predict,
    )
}  # fmt: skip
"""Functions that make a clause's steps, by the clause's action."""


def assemble(found: Sequence[Clause], plan: Builder) -> None:
    """Add the steps of all clauses to a plan. Raises Ask."""
    for clause in found:
        _clause(clause, plan)
    training.check_training(plan.steps)


def _clause(clause: Clause, plan: Builder) -> None:
    if not clause.action:
        _nothing_asked(clause, plan)
    account(clause)
    if clause.negated:
        if clause.action == "freeze":
            clause.action = "unfreeze"
        elif clause.action not in ("retarget", "finetune", "unfreeze") or not _says_more(clause):
            return
    if clause.action == "use":
        models = clause.having("MODEL")
        word = models[0].value if models else clause.items[0].text
        raise Ask("verb", {"word": word}, (), "verb", clause.items[-1])
    _ASSEMBLERS[clause.action](clause, plan)


def _says_more(clause: Clause) -> bool:
    return any(item.tag.isupper() for item in clause.items) and not clause.items[0].has("not")


def _nothing_asked(clause: Clause, plan: Builder) -> None:
    """Ask what to do with what was named. Raises Ask."""
    for item in clause.items:
        if item.has("unk", "if", "or"):
            raise not_understood(item)
    models = clause.having(*REFERENCES)
    if models:
        word = plan.name(models[0]) or models[0].text
        examples = (f"show {word}", f"inspect {word}") if models[0].has("MODEL") else ()
        raise Ask("verb", {"word": word}, examples, "verb", clause.items[-1])
    if all(item.has("correct", "actually", "instead") for item in clause.items):
        raise Ask("correct_what")
    content = [item for item in clause.items if not item.has(*GLUE) or len(clause.items) == 1]
    if not content:
        raise Ask("empty")
    raise Ask("verb", {"word": content[0].text}, (), "verb", clause.items[-1])
