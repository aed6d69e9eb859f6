"""From what a user calls a model to its recipe."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netgraft.errors import UnknownModel
from netgraft.language import Message
from netgraft.models import bases
from netgraft.models.fetch.http import Progress
from netgraft.models.naming import FIRST, own, spelled
from netgraft.models.nearest import nearest
from netgraft.models.source import Policy, Resolved, Source, sources
from netgraft.models.zoo.catalogue import by_name

if TYPE_CHECKING:
    from netgraft.store.store import Store

LEAST_LIKE = 70
"""How like a name must be, in per cent, to be offered instead of one that is unknown."""


def resolve(reference: str, policy: Policy, store: "Store") -> Resolved:
    """The model that a reference means: a zoo name, "NAME@WEIGHTS", a file or a model id.

    A name alone means the library's default weights; where those are not on this machine
    and others of the same name are, it means those, and a notice says so. "preferred"
    downloads what is missing and falls back to random weights. The recipe is stored. Raises
    UnknownModel, and what the source of the model raises.
    """
    from netgraft.models.recipes import put_recipe, recipe_of

    text = reference.strip()
    if _is_id(text):
        row = store.get_row(text)
        return Resolved(recipe_of(store, row), tuple(row.notices.splitlines()))
    resolved = _reader(text).open(text, policy, store)
    put_recipe(store, resolved.recipe, resolved.notices)
    return resolved


def prefetch(reference: str, store: "Store") -> tuple[str, Iterator[Progress]]:
    """The name of the weights that a reference means, and their download.

    Raises UnknownModel, and InvalidValue for a model without pretrained weights; the download
    raises WeightsUnavailable.
    """
    from netgraft.models.recipes import get_recipe

    text = reference.strip()
    if _is_id(text):
        return bases.prefetch(get_recipe(store, text).base, text)
    return _reader(text).prefetch(text, store)


def _is_id(text: str) -> bool:
    from netgraft.store.store import is_model_id

    return is_model_id(text) and text.lower() not in by_name()


def _reader(text: str) -> Source:
    """The source that reads a reference. Raises UnknownModel."""
    found = next((source for source in sources() if source.reads(text)), None)
    if found is None:
        name = text.partition("@")[0]
        near = nearest(own(FIRST, spelled(name)) or "", by_name(), least=LEAST_LIKE)
        hint = Message("Did you mean {names}?", names=", ".join(near)) if near else ""
        raise UnknownModel(name=name, hint=hint)
    return found
