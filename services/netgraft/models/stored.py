"""Frozen dataclasses as the JSON that stores them, and back. Knows nothing of recipes."""

from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

Scalar = str | int | float | bool | None

LATER = {"later": True}
"""Metadata of a field that was added after values were stored: at its default it is not written,
so that what was stored before keeps its form."""

T = TypeVar("T")
Reader = Callable[[Any], Any]


def written(value: object) -> dict[str, Any]:
    """The fields of a frozen dataclass as JSON has them, without later ones at their default."""
    kept: dict[str, Any] = asdict(value)  # type: ignore[call-overload]
    for each in fields(value):  # type: ignore[arg-type]
        if each.metadata.get("later") and getattr(value, each.name) == each.default:
            del kept[each.name]
    return kept


def read(kind: type[T], item: dict[str, Any]) -> T:
    """The value of a frozen dataclass that `item` describes; its fields' types say how it is read.

    Raises TypeError where `item` has a field that the class lacks, or lacks one without a default.
    """
    return cast("T", _reader(cast("Any", kind))(item))


def _same(value: Any) -> Any:
    return value


@cache
def _reader(kind: Any) -> Reader:
    """The function that makes a value of a type (dataclass, tuple, optional) from JSON."""
    if is_dataclass(kind):
        return _object(kind)
    parts = get_args(kind)
    if get_origin(kind) is tuple:
        return _tuple(parts)
    if get_origin(kind) in (Union, UnionType):
        readers = [_reader(part) for part in parts if part is not NoneType]
        special = next((each for each in readers if each is not _same), _same)
        return lambda value: None if value is None else special(value)
    return _same


def _object(kind: Any) -> Reader:
    types = get_type_hints(kind)
    readers = {each.name: _reader(types[each.name]) for each in fields(kind)}

    def make(item: dict[str, Any]) -> Any:
        return kind(**{name: readers.get(name, _same)(value) for name, value in item.items()})

    return make


def _tuple(parts: tuple[Any, ...]) -> Reader:
    if len(parts) == 2 and parts[1] is Ellipsis:
        each = _reader(parts[0])
        return tuple if each is _same else lambda values: tuple(map(each, values))
    readers = [_reader(part) for part in parts]
    return lambda values: tuple(read(value) for read, value in zip(readers, values, strict=True))
