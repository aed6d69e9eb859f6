"""The manifest of a data set: its pictures, their classes and parts, and what was guessed.

A kind of data (`kinds/`) only reads a reference and writes a manifest; everything after it, from
the checks to the batches, knows no kind.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Protocol, get_args

from netgraft.errors import InvalidData, InvalidValue
from netgraft.language import Message

Part = Literal["train", "held_out", "test"]
"""`held_out` measures what training has made; `test` chooses nothing, ever."""
PARTS: tuple[Part, ...] = get_args(Part)
TASKS = ("classification",)
LEAST_SHARE, MOST_SHARE = 0.05, 0.5


@dataclass(frozen=True)
class Options:
    """The user's words on a data set; "" and None leave it to the kind, which states a guess."""

    kind: str = ""
    """Name of a kind, such as "folder" or "table"."""
    columns: str = ""
    """Of a table: "path=Filename,label=Category,split=fold,group=patient", any of the four."""
    split: str = ""
    """"make": ignore the data's own parts; or "train=Training,held_out=Val,test=Testing"."""
    val_share: float | None = None
    """Share of the pictures that is held out where parts have to be made; 0.05 to 0.5."""
    group: str = ""
    """What keeps pictures together when parts are made: a column of a table; of folders "parent"
    (the folder that a picture is in) or "prefix:SEP" (its file's name up to the first SEP)."""
    task: str = ""
    """Name of a task, such as "classification"."""

    def check(self) -> None:
        """Raise InvalidValue for what no data set can be read with."""
        share = self.val_share
        if share is not None and not LEAST_SHARE <= share <= MOST_SHARE:
            expected = Message("from {least} to {most}", least=LEAST_SHARE, most=MOST_SHARE)
            raise InvalidValue(name="val_share", value=share, expected=expected)
        if self.task and self.task not in TASKS:
            expected = Message("one of {choices}", choices=TASKS)
            raise InvalidValue(name="task", value=repr(self.task), expected=expected)


class Container(Protocol):
    """The place of the pictures' bytes: a folder, an archive, memory. Safe for threads."""

    def read(self, name: str, most: int) -> bytes:
        """Return a picture's encoded bytes.

        Raises FileNotFoundError where it is gone, PictureTooLarge where it has more than `most`,
        and another OSError or an EOFError where the container is damaged there.
        """

    def stamp(self, name: str) -> tuple[int, int]:
        """Return a picture's size in bytes, and its time of change in nanoseconds.

        Raises FileNotFoundError.
        """


@dataclass(frozen=True)
class Guess:
    """Something that was not said and could be otherwise, and the option that overrules it."""

    option: str
    """Field of `Options`; "" where none overrules it."""
    sentence: Message
    value: str = ""
    """Of the option, for something else than the guess."""

    @property
    def said(self) -> Message:
        """The sentence with the option of the command line that overrules it."""
        if not self.option:
            return self.sentence
        option = f"--{self.option.replace('_', '-')} {self.value}".rstrip()
        return Message("{sentence} (otherwise: {option})", sentence=self.sentence, option=option)


@dataclass(frozen=True)
class Manifest:
    """An opened data set. Pictures are in a fixed order; `names`, `labels`, `parts` and `groups`
    have one value for each.
    """

    reference: str
    """Opens it again, from any folder or process: a name, or an absolute path."""
    kind: str
    options: Options
    task: str
    class_names: tuple[str, ...]
    """In index order."""
    names: tuple[str, ...]
    """Paths below the reference, with "/"; what findings, results and predictions show."""
    labels: tuple[int, ...]
    """Class indices. (Other tasks have other targets.)"""
    parts: tuple[Part, ...]
    container: Container = field(compare=False, repr=False)
    groups: tuple[str, ...] = ()
    """() where nothing keeps pictures together."""
    side: int | None = None
    """Side in pixels at which nothing is lost; None: use the model's own."""
    kept_whole: bool = False
    """Whether a picture that is mirrored or cropped would be of another class, as a digit is."""
    made_split: bool = False
    """Whether the parts were made here; then they are stored by name with what is trained."""
    guesses: tuple[Guess, ...] = ()
    passed_over: int = 0
    """Files that are no pictures of the set: hidden, of the system, texts."""
    left_out: tuple[str, ...] = ()
    """Pictures without a class, or whose class no part to train on has."""
    levels: tuple[tuple[str, ...], ...] = ()
    """Of nested folders: the class names at each level, the upper first; else ()."""
    untrained: tuple[str, ...] = ()
    """Classes that other parts have, and the part to train on has not."""
    absent: tuple[str, ...] = ()
    """Names that a table gives and that are not there."""

    def size(self, part: Part) -> int:
        """Number of pictures in a part."""
        return self.parts.count(part)

    def indices(self, part: Part) -> list[int]:
        """The pictures of a part, in order."""
        return [index for index, each in enumerate(self.parts) if each == part]

    def ordered(self, places: Sequence[int]) -> "Manifest":
        """This with the classes in another order: the one at index i goes to `places[i]`."""
        if list(places) == list(range(len(places))):
            return self
        names = [""] * len(places)
        for name, place in zip(self.class_names, places, strict=True):
            names[place] = name
        labels = tuple(places[label] for label in self.labels)
        return replace(self, class_names=tuple(names), labels=labels)

    @cached_property
    def stamps(self) -> tuple[tuple[int, int], ...]:
        """Size in bytes and time of change of each picture, when first asked for.

        Raises InvalidData when a picture is gone.
        """
        found = []
        for name in self.names:
            try:
                found.append(self.container.stamp(name))
            except FileNotFoundError as error:
                problem = Message("{path} is gone.", path=name)
                raise InvalidData(data=self.reference, problem=problem) from error
        return tuple(found)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of names, classes, parts and `stamps`: what a consent is bound to.

        Raises InvalidData when a picture is gone.
        """
        digest = hashlib.sha256(f"{self.reference}\n{self.task}\n{self.class_names}\n".encode())
        columns = (self.names, self.labels, self.parts, self.stamps)
        for name, label, part, (size, changed) in zip(*columns, strict=True):
            digest.update(f"{name}\0{label}\0{part}\0{size}\0{changed}\n".encode())
        return digest.hexdigest()
