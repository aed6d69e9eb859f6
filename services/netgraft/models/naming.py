"""How models are called: the one place that decides what people read and type.

Knows neither recipes nor sources, only their names.
"""

import re

FIRST = "torchvision"
"""The source whose names are written without the source before them, and listed first."""
BARE = (FIRST, "file")
"""Sources whose names stand alone; before those of every other one stands its own name."""
LOCAL = "local"
"""What the models of this machine's own are listed under, in the place of a source."""
ID_DIGITS = 12
"""Digits of an id that people are shown; all commands take them."""
SHA256 = re.compile(r"[0-9a-f]{64}")


def shown(source: str, name: str) -> str:
    """A name of a source as people type it, such as "resnet50" or "timm/convnext_tiny"."""
    return name if source in BARE else f"{source}/{name}"


def own(source: str, text: str) -> str | None:
    """The name that a text means if it is one of that source; None where it cannot be.

    The inverse of `shown`. Before every name its source may be written, "torchvision/resnet50" too.
    """
    prefix = f"{source}/"
    if text.startswith(prefix):
        return text.removeprefix(prefix)
    return text if source in BARE else None


def spelled(text: str) -> str:
    """A text in the spelling of the zoo's names: in lower case, with "_" for "-"."""
    return text.lower().replace("-", "_")


def short_id(model_id: str) -> str:
    """The beginning of a model's id that names it to people."""
    return model_id[:ID_DIGITS]


def is_sha256(text: str) -> bool:
    """True if a text is a whole SHA-256: 64 hexadecimal digits in lower case."""
    return bool(SHA256.fullmatch(text))
