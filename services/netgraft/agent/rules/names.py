"""Model names as people write them, matched against the catalogue.

A name is accepted if it is the catalogue's own except for case and separators
("ResNet-50", "vit b/16"), or when only one name can be meant ("fcos"). Anything
else that looks like a model is ambiguous or unknown, and the planner asks: a misspelt name is
never corrected.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz import fuzz, process

from netgraft.models.naming import FIRST

_PIECE = re.compile(r"[A-Za-z0-9]+")
_GAP = re.compile(r"[-_/. ]|(?<=\w)·")
_RUN = re.compile(r"[a-z]+|\d+")
_WHOLE = re.compile(r"[A-Za-z0-9]+(?:[-_/.][A-Za-z0-9]+)*")
_WEIGHTS = re.compile(r"@\w+")
_UNIT_AFTER = re.compile(
    r"\s*(?:epochs?\b|class|categor|labels?\b|workers?\b|gpus?\b|cpus?\b|images?\b|px\b|pixels?\b"
    r"|%|percent|类|轮|个|分类|块|张|次|种|遍|models?\b|passes\b|-?way\b|outputs?\b|[kKmM]\b"
    r"|million|thousand|hundred|steps?\b|rounds?\b|cards?\b|cores?\b|卡|名)",
)
_SIZES = {"t": "tiny", "s": "small", "b": "base", "l": "large", "h": "huge", "m": "medium"}
_LETTERS = {word: letter for letter, word in _SIZES.items()}
MAX_PIECES = 10
SHORTEST_STEM = 3
OPTIONS = 3


@dataclass(frozen=True, slots=True)
class NameMatch:
    """A stretch of text read as a model name, and where it ends."""

    end: int
    canonical: str = ""
    """The catalogue's name; empty if it is ambiguous."""
    options: tuple[str, ...] = ()
    """Up to three names that may have been meant."""
    family: bool = False
    """Whether it names a family ("resnet") that several names belong to."""


def key_of(name: str) -> str:
    """A name without case and separators; "_" stays between digits: 3_2gf is not 32gf."""
    return re.sub(r"(?<!\d)_|_(?!\d)", "", re.sub(r"[^a-z0-9]+", "_", name.lower()))


class ModelNames:
    """An index over a catalogue's names. Building it takes some 50 ms, a look-up microseconds."""

    def __init__(self, names: Iterable[str]) -> None:
        self.exact: dict[str, str] = {}
        self._prefixes: dict[str, dict[str, str]] = {}
        self._listed = tuple(names)
        self.known = frozenset(self._listed)
        for name in self._listed:
            self._add(name)
        for name in self._listed:
            for alias in _aliases(name):
                self.exact.setdefault(alias, name)

    def _add(self, name: str) -> None:
        library, _, bare = name.rpartition("/")
        key = key_of(bare)
        self.exact.setdefault(key, name)
        self.exact.setdefault((library or FIRST) + key, name)
        for prefix in _prefixes(bare):
            self._prefixes.setdefault(prefix, {}).setdefault(key, name)

    def match(self, text: str, start: int) -> NameMatch | None:
        """The longest model name, family or near-name that begins at `start`, or None."""
        spans = list(_spans(text, start))
        for end, key in reversed(spans):
            if key in self.exact:
                weights = _WEIGHTS.match(text, end)
                suffix = weights[0] if weights else ""
                return NameMatch(end + len(suffix), self.exact[key] + suffix)
        whole = _WHOLE.match(text, start)
        end_of_word = whole.end() if whole else start
        for end, key in reversed(spans):
            if end >= end_of_word and key in self._prefixes:
                return self._prefix_match(text, end, key)
        plural = key_of(text[start:end_of_word]).removesuffix("s")
        if text[start:end_of_word].endswith("s") and plural in self._prefixes:
            return NameMatch(
                end_of_word, options=_shortlist(list(self._prefixes[plural].values())), family=True
            )
        return self._near(text, start, end_of_word)

    def _prefix_match(self, text: str, end: int, key: str) -> NameMatch:
        names = list(self._prefixes[key].values())
        if len(names) == 1:
            return NameMatch(end, names[0])
        number = re.compile(r" \d+(?!\w|\.\d)").match(text, end)
        if number and not _UNIT_AFTER.match(text, number.end()):
            return NameMatch(
                number.end(), options=self.nearest(text[end - len(key) : number.end()])
            )
        return NameMatch(end, options=_shortlist(names), family=True)

    def _near(self, text: str, start: int, end: int) -> NameMatch | None:
        """A word that begins as some family does but is no name: "resnet500"."""
        word = text[start:end]
        key = key_of(word)
        stem = _RUN.match(key)
        if not stem or len(key) < 5 or not re.search(r"\d", key):
            return None
        family = stem[0] in self._prefixes and len(stem[0]) >= SHORTEST_STEM
        options = self.nearest(word)
        if family or (options and len(stem[0]) >= 4 and self._close(key)):
            return NameMatch(end, options=options)
        return None

    def _close(self, key: str) -> bool:
        return (
            process.extractOne(key, self.exact.keys(), scorer=fuzz.ratio, score_cutoff=82)
            is not None
        )

    def nearest(self, word: str) -> tuple[str, ...]:
        """Up to three catalogue names that look most like a word."""
        found = process.extract(
            key_of(word), self.exact.keys(), scorer=fuzz.ratio, limit=20, score_cutoff=60
        )
        # a torchvision name that is nearly as near goes first: more people mean it
        found.sort(key=lambda hit: -hit[1] + 12 * ("/" in self.exact[hit[0]]))
        names: list[str] = []
        for key, _, _ in found:
            if self.exact[key] not in names:
                names.append(self.exact[key])
        return tuple(names[:OPTIONS])

    def from_timm(self, name: str) -> str:
        """The timm model of the same name, or "" where timm has none."""
        return self.exact.get("timm" + key_of(name.rpartition("/")[2]), "")


def _spans(text: str, start: int) -> Iterator[tuple[int, str]]:
    """Ends and keys of the stretches of one, two… pieces that begin at `start`."""
    position, key = start, ""
    for _ in range(MAX_PIECES):
        piece = _PIECE.match(text, position)
        if not piece:
            return
        spaced = position > start and text[position - 1] == " "
        if spaced and piece[0].isdigit() and _UNIT_AFTER.match(text, piece.end()):
            return
        gap_of_digits = key[-1:].isdigit() and piece[0][0].isdigit()
        key += ("_" if gap_of_digits else "") + piece[0].lower()
        yield piece.end(), key
        gap = _GAP.match(text, piece.end())
        if not gap:
            return
        position = gap.end()


def _prefixes(name: str) -> Iterator[str]:
    """Keys of the beginnings of a name that end at "_" or before a number."""
    for boundary in re.finditer(r"_|(?<=[a-z])(?=\d)", name):
        key = key_of(name[: boundary.start()])
        if len(key) >= SHORTEST_STEM:
            yield key


def _aliases(name: str) -> Iterator[str]:
    """Other ways to write a torchvision name: size words for letters, "wrn" and "rn"."""
    if "/" in name:
        return
    runs = [run for run in re.findall(r"[a-z]+|\d+|_", name) if run != "_"]
    sized = [_SIZES.get(run) or _LETTERS.get(run) or run for run in runs]
    yield key_of("_".join(sized))
    if name.startswith("wide_resnet"):
        yield key_of(name.replace("wide_resnet", "wrn"))
    if name.startswith("resnet"):
        yield key_of(name.replace("resnet", "rn"))


def _shortlist(names: list[str]) -> tuple[str, ...]:
    """The plainest names first: torchvision's, not quantized, short."""
    ranked = sorted(names, key=lambda n: ("/" in n, n.startswith("quantized"), len(n), n))
    return tuple(ranked[:OPTIONS])


@lru_cache(maxsize=1)
def catalogue_names() -> ModelNames:
    """The index over the model zoo."""
    from netgraft.models.zoo.catalogue import entries

    return ModelNames(entry.name for entry in entries())
