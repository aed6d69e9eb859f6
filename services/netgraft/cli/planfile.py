"""Plan files: the JSON form of a plan, or the same in YAML.

steps:
  - retarget: {model: resnet50, classes: 10}
  - finetune: {model: $1, data: digits, epochs: 2}
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netgraft.errors import InvalidValue, NotPossible
from netgraft.language import Message, quoted

if TYPE_CHECKING:
    from netgraft.v1 import agent_pb2

LARGEST = 2**20


def read_plan(file: Path) -> "agent_pb2.PlannerReply":
    """The plan that a file holds. Raises InvalidValue, which says what is wrong with it."""
    from google.protobuf.json_format import ParseDict, ParseError

    from netgraft.v1 import agent_pb2

    document = _parse(file)
    if not isinstance(document, dict) or not document.get("steps"):
        raise _wrong(file, Message('an object with "steps"'))
    reply = agent_pb2.PlannerReply()
    try:
        ParseDict(document, reply)
    except ParseError as error:
        report = quoted(" ".join(str(error).split()))
        raise _wrong(file, Message("a plan ({report})", report=report)) from error
    if empty := [n for n, step in enumerate(reply.steps, 1) if step.WhichOneof("step") is None]:
        number = empty[0]
        raise _wrong(file, Message("a plan whose step {number} says what to do", number=number))
    if reply.kind not in ("", "plan"):
        raise _wrong(file, Message('of kind "plan", not "{kind}"', kind=reply.kind))
    reply.kind = "plan"
    return reply


def _parse(file: Path) -> Any:
    data = file.read_bytes()[: LARGEST + 1]
    if len(data) > LARGEST:
        raise _wrong(file, Message("at most 1 MiB"))
    try:
        text = data.decode()
        return _yaml(file, text) if file.suffix in (".yaml", ".yml") else json.loads(text)
    except ValueError as error:  # of JSON, and of bytes that are no text
        report = quoted(" ".join(str(error).split()))
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
        report = quoted(" ".join(str(error).split()))
        raise _wrong(file, Message("YAML ({report})", report=report)) from error


def _wrong(file: Path, expected: Message) -> InvalidValue:
    return InvalidValue(name="--file", value=file, expected=expected)
