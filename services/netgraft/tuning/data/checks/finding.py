"""A finding of a check, and what checks look at."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from netgraft.language import Message
from netgraft.tuning.data.comparing import Copies, copies_of
from netgraft.tuning.data.facts import PictureFacts
from netgraft.tuning.data.manifest import Manifest, Part

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Severity(StrEnum):
    """The seriousness of a finding. Only an error stops a run."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 for the most serious."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Finding:
    """One kind of fault of a data set, with every file that has it."""

    kind: str
    """A constant name, such as "truncated"."""
    severity: Severity
    files: tuple[str, ...]
    """Names in the manifest, all of them, in its order; or the classes at fault."""
    sentence: Message
    """What it is and what to do, for the user."""
    left_out: tuple[str, ...] = ()
    """Of `files`, what a cleaned list leaves out."""


@dataclass(frozen=True)
class Head:
    """The head of a model that data are meant for."""

    model: str
    """As the user can name it."""
    classes: int
    class_names: tuple[str, ...] = ()
    """() where the head's outputs have no names."""
    edited: bool = True
    """False for a base model as it is published: it gets the data's head by itself."""


@dataclass(frozen=True)
class OutOfFold:
    """Probabilities from a cross-validation: no picture was among those that its model learnt."""

    probabilities: "NDArray[Any]"
    """Shape (N, K)."""
    indices: Sequence[int]
    """Pictures of the manifest, one for each row."""


@dataclass(frozen=True)
class Seen:
    """All that is known of a data set when checks run."""

    manifest: Manifest
    facts: Sequence[PictureFacts] = field(default=())
    """One for each picture, in the manifest's order; () before the pass."""
    head: Head | None = None
    """Of the model that the data are meant for, where one is known."""
    out_of_fold: OutOfFold | None = None
    """What a probe says of pictures that it was not fitted to, where there is one."""

    def files(self, indices: Sequence[int]) -> tuple[str, ...]:
        """The names of pictures."""
        return tuple(self.manifest.names[index] for index in indices)

    def counts(self, part: Part) -> list[int]:
        """Number of pictures of each class in a part, in the classes' order."""
        pairs = zip(self.manifest.labels, self.manifest.parts, strict=True)
        found = Counter(label for label, each in pairs if each == part)
        return [found[label] for label in range(len(self.manifest.class_names))]

    @property
    def to_learn_from(self) -> list[int]:
        """Number of pictures of each class that training can have: those of the part to train on;
        and where the parts were made here, those held out, too."""
        train = self.counts("train")
        if not self.manifest.made_split:
            return train
        return [sum(both) for both in zip(train, self.counts("held_out"), strict=True)]

    @cached_property
    def copies(self) -> Copies:
        """The pictures that are copies of others."""
        return copies_of(self.facts)
