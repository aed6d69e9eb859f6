"""The operations of surgery: each makes the edits of one kind, and is found by their name.

The operation of the edits that are called `op` is in the file `op.py` of this package. Packages
outside register theirs in the module that defines their edit (see `models.edits`).
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Concatenate, TypeVar

from netgraft.errors import NotPossible
from netgraft.language import Message
from netgraft.models.edits.edit import kind
from netgraft.models.recipe import Recipe
from netgraft.surgery.edited import Edited

Operation = Callable[Concatenate[Recipe, ...], Edited]
"""From a recipe and keywords, of which `anatomies` is one, to an edited recipe that is stored."""

F = TypeVar("F", bound=Operation)

_OPERATIONS: dict[str, Operation] = {}


def operation(op: str) -> Callable[[F], F]:
    """Register a function as what makes the edits that are called `op`."""

    def register(function: F) -> F:
        _OPERATIONS[op] = function
        return function

    return register


def find(op: str) -> Operation:
    """The operation that makes the edits called `op`. Raises NotPossible where there is none."""
    if op not in _OPERATIONS and find_spec(f"{__package__}.{op}"):
        import_module(f"{__package__}.{op}")
    if op not in _OPERATIONS:
        kind(op)  # what brings the edit registers its operation too
    if op not in _OPERATIONS:
        problem = Message("edits {op} are made by no operation of surgery.", op=repr(op))
        raise NotPossible(problem=problem)
    return _OPERATIONS[op]
