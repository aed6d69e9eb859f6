"""References to models of the Hugging Face hub: hf/ORG/NAME, or with @REVISION."""

import re

from netgraft.errors import UnsupportedFile
from netgraft.language import Message
from netgraft.models.naming import shown
from netgraft.models.untrusted.formats import display_name

NAME = "hf"
"""The source's name in recipes."""
PREFIX = shown(NAME, "")
REFERENCE = re.compile(r"hf/([\w.-]+(?:/[\w.-]+)?)(?:@([\w./-]+))?", re.IGNORECASE)


def parts(reference: str) -> tuple[str, str | None]:
    """Repository and revision of a reference. Raises UnsupportedFile."""
    found = REFERENCE.fullmatch(reference.strip())
    if not found or ".." in reference:
        problem = Message("a model of the hub is called hf/ORG/NAME or hf/ORG/NAME@REVISION.")
        raise UnsupportedFile(path=display_name(reference), problem=problem)
    return found[1], found[2]


def title(reference: str) -> str:
    """A reference to the hub as it is shown. Raises UnsupportedFile."""
    name, revision = parts(reference)
    return shown(NAME, name) + (f"@{revision}" if revision else "")
