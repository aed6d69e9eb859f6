"""The stored form of a recipe: long values, such as lists of class names, are stored once.

A recipe's canonical form repeats what its ancestors say. So that a descendant costs what it adds,
its stored form names such values by the SHA-256 of their JSON, `{"shared": SHA256}`, and the store
keeps each once. What was stored before this, in full, reads as before; ids are those of the
canonical form either way. This knows the shape of the JSON (a base, a list of edits), not what
it means.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

SHARED = "shared"
ALWAYS = "class_names"
"""The field that is never written in full, however short it is."""
LONG = 1024
"""Characters above which any other field is shared."""


@dataclass(frozen=True)
class Stored:
    """A canonical form as the database takes it."""

    text: str
    shared: dict[str, str]
    """The long values that `text` names, JSON by SHA-256."""
    columns: dict[str, str | bool]
    """Columns of RecipeRow that repeat a part of it."""


def shorten(canonical: str) -> Stored:
    """The stored form of a canonical form."""
    document, shared = json.loads(canonical), dict[str, str]()
    columns = _columns(document)
    if len(canonical) <= LONG and f'"{ALWAYS}"' not in canonical:
        return Stored(canonical, shared, columns)
    for part in _parts(document):
        for name, value in part.items():
            text = _text(value)
            if (name == ALWAYS and value) or len(text) > LONG:
                digest = hashlib.sha256(text.encode()).hexdigest()
                shared[digest] = text
                part[name] = {SHARED: digest}
    return Stored(_text(document), shared, columns)


def lengthen(stored: str, read: Callable[[str], str]) -> str:
    """The canonical form of a stored one. `read` gives a shared value's JSON by its SHA-256."""
    if f'{{"{SHARED}":' not in stored:
        return stored
    document = json.loads(stored)
    for part in _parts(document):
        for name, value in part.items():
            if isinstance(value, dict) and value.keys() == {SHARED}:
                part[name] = json.loads(read(value[SHARED]))
    return _text(document)


def _columns(document: dict[str, Any]) -> dict[str, str | bool]:
    base, edits = document["base"], document["edits"]
    return {
        "base_source": base["source"],
        "base_name": base["name"],
        "has_file": "file" in base,
        "last_op": edits[-1]["op"] if edits else "",
    }


def _parts(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects of a recipe whose fields may be shared: its edits, and its base's file."""
    yield from document["edits"]
    if file := document["base"].get("file"):
        yield file


def _text(value: Any) -> str:
    """JSON as the canonical form is written: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
