"""Find out from a `.keras` file's configuration what it is made of, without torch or Keras.

Only layers that Keras itself brings are built: a file that names another class, or code, is
only drawn.
"""

import json
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, BinaryIO

from netgraft.errors import PackageMissing
from netgraft.language import Message

CONFIG, WEIGHTS = "config.json", "model.weights.h5"

MODULES = frozenset(
    [
        "keras", "keras.layers", "keras.models", "keras.initializers", "keras.regularizers",
        "keras.constraints", "keras.activations", "keras.dtype_policies",
        "keras.src.models.functional", "keras.src.ops.numpy", "keras.src.ops.nn",
        "keras.src.applications.convnext", "keras.src.models.sequential",
    ]
)  # fmt: skip
"""Modules of the classes that a configuration may name."""
FOREIGN = frozenset(
    [
        "Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer", "TextVectorization",
        "StringLookup", "IntegerLookup", "IndexLookup",
    ]
)  # fmt: skip
"""Layers of Keras that run what is in the file, or read or run what is in another."""
PLAIN = frozenset(
    [
        "__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__",
    ]
)  # fmt: skip
"""Keras's names for plain values."""
MOST_PARTS = 10_000
"""Things with a class of their own; each takes Keras milliseconds. More is drawn, not built."""

BUILT = ("Sequential", "Functional")


def is_installed() -> bool:
    return find_spec("keras") is not None


def must_have_keras() -> None:
    """Raise PackageMissing where Keras is not installed."""
    if not is_installed():
        raise PackageMissing(what=Message("A .keras file"), package="keras", extra="keras")


def is_buildable(config: bytes) -> bool:
    """True if a configuration is a model of Keras's own layers that run no code of the file's."""
    try:
        document = json.loads(config)
        kind = document.get("class_name") if isinstance(document, dict) else None
        parts = list(_parts(document))
        return kind in BUILT and len(parts) <= MOST_PARTS and all(map(_is_known, parts))
    except (ValueError, RecursionError, TypeError):
        return False


def has_weights(file: BinaryIO) -> bool:
    """True if the archive holds weights; Netron draws those without, too."""
    with zipfile.ZipFile(file) as archive:
        return WEIGHTS in archive.namelist()


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for inner in value.values():
            yield from _parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parts(inner)


def _is_known(part: dict[str, Any]) -> bool:
    name = part["class_name"]
    if not isinstance(name, str) or name in FOREIGN:
        return False
    if name.startswith("__"):
        return name in PLAIN
    return part.get("module") in MODULES and part.get("registered_name") in (None, name)
