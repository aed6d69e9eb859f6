"""A finding of a check, and what checks look at."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from netgraft.language import Message
from netgraft.tuning.data.facts import PictureFacts
from netgraft.tuning.data.manifest import Manifest


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


@dataclass(frozen=True)
class Seen:
    """All that is known of a data set when checks run."""

    manifest: Manifest
    facts: Sequence[PictureFacts] = field(default=())
    """One for each picture, in the manifest's order; () before the pass."""
    features: object = None
    """Of the probe, where there are any: see `wrong_labels`."""

    def files(self, indices: Sequence[int]) -> tuple[str, ...]:
        """The names of pictures."""
        return tuple(self.manifest.names[index] for index in indices)
