"""The names under which a model's classes are known, and which class a name means.

Names are compared without case, without spaces around them, and with "_" read as a space:
"Red_fox" is "red fox". Knows nothing of heads and tensors.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from rapidfuzz import fuzz

from netgraft.models import bases
from netgraft.models.nearest import nearest
from netgraft.models.recipe import Recipe
from netgraft.models.zoo import imagenet

MOSTLY = 0.9
"""A share: torchvision has its own name for a few of ImageNet's classes, such as "crane bird"."""
BACKGROUND = "__background__"
NOTHING = frozenset({"", "n/a"})
"""Names in a list that stand for no class."""


def normal(name: str) -> str:
    """The form in which names are compared."""
    return " ".join(name.replace("_", " ").casefold().split())


@dataclass(frozen=True)
class Labels:
    """The names of a model's classes, in index order."""

    names: tuple[str, ...]
    """() when they are not known."""
    background: bool = False
    """Whether index 0 is the background and no class, as in a detector."""
    of_library: bool = False
    """Whether the names are a library's own, which may be short for ImageNet's words."""

    def meant(self, name: str) -> frozenset[int]:
        """Indices of the classes that a name means. Names come before synonyms.

        A name such as "tabby, tabby cat" is looked for whole, then by its parts.
        """
        for index in self._named, self._worded:
            if found := index.get(normal(name)):
                return found
            if found := frozenset[int]().union(*self._parts(name, index)):
                return found
        return frozenset()

    def nearest(self, name: str) -> list[str]:
        """The known names that are most like another one."""
        known = {normal(word): word for word in self.names if self._counts(word)}
        # By words, so that "fox" finds "red fox", and a typing error its own word.
        best = nearest(normal(name), known, scorer=fuzz.token_ratio)
        return [known[match] for match in best]

    @staticmethod
    def _parts(name: str, index: dict[str, frozenset[int]]) -> Iterable[frozenset[int]]:
        return (index.get(normal(part), frozenset()) for part in imagenet.spoken(name))

    @cached_property
    def _named(self) -> dict[str, frozenset[int]]:
        return self._index([(name,) for name in self.names])

    @cached_property
    def _worded(self) -> dict[str, frozenset[int]]:
        return self._index(_imagenets(self.names) if self.of_library else ())

    def _index(self, words: Sequence[tuple[str, ...]]) -> dict[str, frozenset[int]]:
        found: defaultdict[str, set[int]] = defaultdict(set)
        for index, names in enumerate(words):
            for name in names:
                if self._counts(name) and not (self.background and index == 0):
                    found[normal(name)].add(index)
        return {name: frozenset(indices) for name, indices in found.items()}

    @staticmethod
    def _counts(name: str) -> bool:
        return normal(name) not in NOTHING


def labels(recipe: Recipe, classes: int, *, detector: bool) -> Labels:
    """The known names of `classes` classes, a detector's background included."""
    own = recipe.class_names
    if own and detector:
        own = (BACKGROUND, *own)
    edited = bool(own) or recipe.has_new_classes
    names = own if edited else bases.class_names(recipe.base)
    if len(names) != classes:
        return Labels((), detector)
    return Labels(names, detector, of_library=not edited)


def _imagenets(names: tuple[str, ...]) -> tuple[imagenet.Synonyms, ...]:
    """ImageNet's words for each class where the names are short for them, else ()."""
    words = imagenet.words(len(names))
    pairs = zip(names, words, strict=True) if words else ()
    short = sum(normal(name) in map(normal, known) for name, known in pairs)
    return words if short > len(names) * MOSTLY else ()
