"""The models that can be asked for by name: the zoo, what lies beside it, and this machine's own.

Needs no torch. Where the base package is installed alone there is no store, and so nothing that is
this machine's own.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from netgraft.models.fetch import cached
from netgraft.models.fetch.cached import Present
from netgraft.models.source import sources
from netgraft.models.zoo.catalogue import Query, entries, search
from netgraft.models.zoo.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from netgraft.store.store import Store

DEFAULT_LIMIT = 50
DATABASE = "sqlalchemy"
"""What a store needs, and the base package lacks."""


@dataclass(frozen=True)
class Listing:
    """The first entries of what was found."""

    entries: list[Entry]
    total: int
    """How many there are."""
    here: Present
    """The weights that are on this machine."""


def listing(query: Query, limit: int, store: "Callable[[], Store]") -> Listing:
    """Up to `limit` entries that match, the best first; 0 means DEFAULT_LIMIT."""
    found = search(query, (*_beside(), *_own(store)))
    return Listing(found[: limit or DEFAULT_LIMIT], len(found), cached.present())


def on_disk() -> list[str]:
    """The pretrained weights on this machine, as a user may type them."""
    here = cached.present()
    every = (*entries(), *_beside())
    return [f"{entry.name}@{weights}" for entry in every for weights in here.weights_of(entry)]


def _beside() -> list[Entry]:
    return [entry for source in sources() for entry in source.beside()]


def _own(store: "Callable[[], Store]") -> list[Entry]:
    if find_spec(DATABASE) is None:
        return []
    from netgraft.models.zoo import local

    return local.entries(store())
