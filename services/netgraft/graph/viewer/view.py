"""The view of a picture: what is selected, open and coloured. The query of a permalink."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, urlencode

from netgraft.errors import InvalidValue
from netgraft.graph.lens import LENSES
from netgraft.language import Message

LARGEST_BATCH = 1_000_000
MOST_OPEN = 200


@dataclass(frozen=True)
class View:
    """`/viz/{id}/?focus=layer4.1.conv2&lens=flops&open=layer4`"""

    focus: str = ""
    """Path of the module that is selected."""
    lens: str = ""
    """One of LENSES; empty: boxes have Netron's own colours."""
    open: tuple[str, ...] = ()
    """Paths of modules that are expanded."""
    batch: int = 1
    """Examples for which operations and activations are counted."""

    @classmethod
    def parse(cls, query: str) -> Self:
        """Parse a query; unknown keys are ignored. Raises InvalidValue."""
        pairs = parse_qsl(query, max_num_fields=MOST_OPEN + 8) if query else []
        said = dict(pairs)
        opened = tuple(value for name, value in pairs if name == "open")
        view = cls(
            focus=said.get("focus", ""),
            lens=said.get("lens", ""),
            open=opened[:MOST_OPEN],
            batch=_whole(said.get("batch", "1")),
        )
        view.check()
        return view

    def check(self) -> None:
        """Raises InvalidValue."""
        if self.lens and self.lens not in LENSES:
            expected = Message("one of {choices}", choices=list(LENSES))
            raise InvalidValue(name="lens", value=repr(self.lens), expected=expected)
        if not 1 <= self.batch <= LARGEST_BATCH:
            expected = Message(
                "a whole number from {least:,} to {most:,}", least=1, most=LARGEST_BATCH
            )
            raise InvalidValue(name="batch", value=self.batch, expected=expected)

    def query(self) -> str:
        """The query that `parse` reads back; default values are left out."""
        pairs = [("focus", self.focus), ("lens", self.lens)]
        pairs += [("open", path) for path in self.open]
        pairs += [("batch", str(self.batch) if self.batch != 1 else "")]
        return urlencode([pair for pair in pairs if pair[1]])


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
