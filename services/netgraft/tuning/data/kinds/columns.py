"""What `Options.columns` says."""

from netgraft.errors import InvalidValue
from netgraft.language import Message
from netgraft.tuning.data.manifest import Options

ROLES = ("path", "label", "split", "group")


def said_columns(options: Options) -> dict[str, str]:
    """The columns that were named, by what they hold. Raises InvalidValue."""
    said: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in options.columns.split(","))):
        role, equals, column = (part.strip() for part in pair.partition("="))
        if role not in ROLES or not equals or not column:
            expected = Message("such as {example}", example="path=Filename,label=Category")
            raise InvalidValue(name="columns", value=repr(options.columns), expected=expected)
        said[role] = column
    return said
