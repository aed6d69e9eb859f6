"""Plan files: the JSON form of a plan, or the same in YAML.

steps:
  - retarget: {model: resnet50, classes: 10}
  - finetune: {model: $1, data: digits, epochs: 2}
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netgraft.errors import InvalidRequest, InvalidValue, NotPossible
from netgraft.language import Message, quoted

if TYPE_CHECKING:
    from netgraft.v1 import agent_pb2

LARGEST = 2**20


def read_plan(file: Path) -> "agent_pb2.PlannerReply":
    """Read the plan in a file. Raises InvalidValue, which says what is wrong with it."""
    from netgraft.agent.forms import reply_from_json, reply_to_proto

    document = _parse(file)
    if not isinstance(document, dict) or not document.get("steps"):
        raise _wrong(file, Message('an object with "steps"'))
    kind = document.get("kind") or "plan"
    if kind != "plan":
        raise _wrong(file, Message('of kind "plan", not "{kind}"', kind=str(kind)))
    try:
        return reply_to_proto(reply_from_json({**document, "kind": kind}))
    except InvalidRequest as error:
        problem = error.values["problem"]
        raise _wrong(file, Message("a plan ({problem})", problem=problem)) from error


def _parse(file: Path) -> Any:
    data = file.read_bytes()[: LARGEST + 1]
    if len(data) > LARGEST:
        raise _wrong(file, Message("at most 1 MiB"))
    try:
        text = data.decode()
        return _yaml(file, text) if file.suffix in (".yaml", ".yml") else json.loads(text)
    except ValueError as error:  # invalid JSON, or bytes that are not text
        report = _line(error)
        expected = Message("JSON, or YAML in a file named .yaml ({report})", report=report)
        raise _wrong(file, expected) from error


def _yaml(file: Path, text: str) -> Any:
    try:
        import yaml
    except ModuleNotFoundError as error:
        problem = Message(
            "{file} is YAML, which needs pyyaml: `pip install pyyaml`. JSON needs nothing.",
            file=file,
        )
        raise NotPossible(problem=problem) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _wrong(file, Message("YAML ({report})", report=_line(error))) from error


def _wrong(file: Path, expected: Message) -> InvalidValue:
    return InvalidValue(name="--file", value=file, expected=expected)


def _line(value: object) -> str:
    """Return a library's message on one line."""
    return quoted(" ".join(str(value).split()))
