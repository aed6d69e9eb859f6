"""The batch form: lines of {"id", "turns"} become lines of {"id", "reply"}."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from netgraft.agent.forms import checked, reply_to_json
from netgraft.agent.planner import Context, Planner, Reply
from netgraft.agent.rules import default_planner
from netgraft.errors import InvalidRequest
from netgraft.language import Message


def plan_batch(turns: Iterable[str], planner: Planner | None = None) -> dict[str, Any]:
    """The JSON of the reply to the last of the turns; earlier ones are context.

    The plans of earlier turns are taken as accepted and run; nothing is executed.
    """
    context, reply = Context(), Reply("clarify")
    for text in turns:
        reply, context = (planner or default_planner()).plan(text, context)
    return reply_to_json(checked(reply))


def plan_lines(lines: Iterable[str], planner: Planner | None = None) -> Iterator[dict[str, Any]]:
    """A reply for each line of a batch file. Empty lines are skipped.

    Raises InvalidRequest, naming the line, when one is malformed.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            identity, turns = _read(number, line)
            yield {"id": identity, "reply": plan_batch(turns, planner)}


def _read(number: int, line: str) -> tuple[Any, list[str]]:
    try:
        document = json.loads(line)
        identity, turns = document["id"], document["turns"]
    except (ValueError, TypeError, KeyError) as error:
        problem = Message('line {number} is not JSON with "id" and "turns".', number=number)
        raise InvalidRequest(problem=problem) from error
    texts = isinstance(turns, list) and all(isinstance(turn, str) for turn in turns)
    if not texts or not turns:
        problem = Message('line {number}: "turns" must be a list of texts.', number=number)
        raise InvalidRequest(problem=problem)
    return identity, turns
