"""Weights that a tuning job reached."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from netgraft.language import Message
from netgraft.models.answering import Answering
from netgraft.models.edits.edit import Changes, Code, Edit, Training
from netgraft.models.stored import LATER

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Tuned(Edit):
    """Weights that a tuning job reached; the delta holds only the tensors that changed."""

    op: ClassVar[str] = "tuned"
    job: str
    tensors: str
    class_names: tuple[str, ...] = ()
    """Of the data that it was tuned on, in index order; () where they have no names."""
    metrics: tuple[tuple[str, float], ...] = ()
    answering: Answering | None = field(default=None, metadata=LATER)
    """How the model was asked when it was measured; None of jobs of earlier versions."""

    @property
    def changes(self) -> Changes:
        return Changes(
            delta=self.tensors,
            moves_heads=False,
            flops=False,
            retarget=False,
            class_names=self.class_names or None,
            training=Training(self.job, self.metrics, self.answering),
        )

    def describe(self) -> Message:
        return Message("Tuned by job {job}", job=self.job)

    def restructure(self, module: "nn.Module") -> "nn.Module":
        return module

    def code(self, model: "nn.Module") -> Code:
        return Code()

    def drawn(self, before: Iterable[str]) -> frozenset[str]:
        """None: what training left as it was drawn counts as stored too."""
        return frozenset()
