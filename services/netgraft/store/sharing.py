"""The stored form of a recipe: long values, such as lists of class names, are stored once.

A recipe's canonical form repeats what its ancestors say. So that a descendant costs what it adds,
its stored form names such values by the SHA-256 of their JSON, `{"shared": SHA256}`, and the store
keeps each once. What was stored before this, in full, reads as before; ids are those of the
canonical form either way.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

SHARED = "shared"
ALWAYS = "class_names"
"""The field that is never written in full, however short it is."""
LONG = 1024
"""Characters above which any other field is shared."""


def shorten(canonical: str) -> tuple[str, dict[str, str]]:
    """The stored form of a canonical form, and the shared values in it, JSON by SHA-256."""
    if len(canonical) <= LONG and f'"{ALWAYS}"' not in canonical:
        return canonical, {}
    document, shared = json.loads(canonical), dict[str, str]()
    for part in _parts(document):
        for name, value in part.items():
            text = _text(value)
            if (name == ALWAYS and value) or len(text) > LONG:
                digest = hashlib.sha256(text.encode()).hexdigest()
                shared[digest] = text
                part[name] = {SHARED: digest}
    return _text(document), shared


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


def _parts(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects of a recipe whose fields may be shared: its edits, and its base's file."""
    yield from document["edits"]
    if file := document["base"].get("file"):
        yield file


def _text(value: Any) -> str:
    """JSON as the canonical form is written; see `Recipe.canonical`."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
