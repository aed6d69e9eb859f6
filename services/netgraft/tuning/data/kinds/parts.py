"""The parts of a data set: what data and options call them, and making them.

Data name their parts by folders or in a column: "train", "Validation", "test_images", "训练集".
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from netgraft.errors import InvalidValue
from netgraft.language import Message
from netgraft.tuning.data.manifest import PARTS, Options, Part
from netgraft.tuning.data.split import SHARE, held_out

MAKE = "make"
"""`Options.split` of data whose own parts are ignored."""

WORDS: Mapping[Part, str] = {
    "train": "train(?:ing|val)?|trn|训练",
    "held_out": "val(?:id|idate|idation)?|dev(?:el)?|eval(?:uation)?|held[ _-]?out|验证",
    "test": "test(?:ing)?|tst|测试",
}
BEFORE = r"(?:(?:seg|imgs?|images?|data|dataset|my)[ _.-]+)?"
AFTER = r"s?(?:[ _.-]*(?:set|data|dataset|images?|imgs?|pics|pictures|photos|split|files|集))?"
NUMBER = r"(?:[ _.-]*\d{1,4})?"
PATTERNS = {
    part: re.compile(f"{BEFORE}(?:{words}){AFTER}{NUMBER}") for part, words in WORDS.items()
}
ALIASES: Mapping[str, Part] = {
    "val": "held_out",
    "valid": "held_out",
    "validation": "held_out",
    "training": "train",
    "testing": "test",
}
"""What else `Options.split` may call a part."""


@lru_cache(maxsize=1024)
def part_named(name: str) -> Part | None:
    """The part that a name means by itself, such as "Validation"; None for other names."""
    plain = plain_name(name)
    return next((part for part, known in PATTERNS.items() if known.fullmatch(plain)), None)


def plain_name(name: str) -> str:
    """A name by which those are compared that differ in case and in how letters are composed."""
    return unicodedata.normalize("NFC", name).strip().casefold()


@dataclass(frozen=True)
class Names:
    """Which names mean which part."""

    said: Mapping[str, Part]
    """By `plain_name`; {} where names mean what they say."""
    makes: bool = False
    """Whether the parts are then ignored, and others made."""

    def part(self, name: str) -> Part | None:
        """The part that a name means, or None."""
        return self.said.get(plain_name(name)) if self.said else part_named(name)

    def must_be_among(self, found: Iterable[str]) -> None:
        """Raise InvalidValue for a name that was said and that the data do not have."""
        there = sorted(set(found))
        known = {plain_name(name) for name in there}
        for name, part in self.said.items():
            if name not in known:
                expected = Message("one of {choices}", choices=there)
                if not there:
                    expected = Message("nothing: the data name no parts")
                raise InvalidValue(name=f"split {part}", value=repr(name), expected=expected)


def names_of(options: Options) -> Names:
    """Return what `Options.split` says. Raises InvalidValue."""
    text = options.split.strip()
    if not text or text.casefold() == MAKE:
        return Names({}, makes=bool(text))
    said: dict[str, Part] = {}
    for pair in text.split(","):
        key, equals, name = pair.partition("=")
        part = ALIASES.get(key.strip().casefold()) or next(
            (part for part in PARTS if part == key.strip().casefold()), None
        )
        if not equals or part is None or not name.strip():
            expected = Message(
                "{make}, or names of parts such as {example}",
                make=MAKE,
                example="train=Training,held_out=Val,test=Testing",
            )
            raise InvalidValue(name="split", value=repr(text), expected=expected)
        said[plain_name(name)] = part
    return Names(said)


def made_parts(
    names: Sequence[str], labels: Sequence[int], options: Options, groups: Sequence[str] = ()
) -> tuple[Part, ...]:
    """A part for each picture: a share of each class is held out, the rest is trained on."""
    chosen = held_out(names, labels, share_of(options), groups)
    return tuple("held_out" if index in chosen else "train" for index in range(len(names)))


def share_of(options: Options) -> float:
    """The share that is held out where parts are made."""
    return SHARE if options.val_share is None else options.val_share


def must_be_plain(options: Options, kind: str) -> None:
    """Raise InvalidValue for options that mean nothing to a kind without folders and columns."""
    for name in ("columns", "group"):
        if value := getattr(options, name):
            expected = Message("nothing: {kind} has neither folders nor columns", kind=kind)
            raise InvalidValue(name=name, value=repr(value), expected=expected)
    names_of(options).must_be_among(())
