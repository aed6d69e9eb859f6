"""A trace: the heads and outputs of a model as one run shows them. Read without torch."""

from dataclasses import dataclass

from netgraft.anatomy.roles import Head, is_detection


@dataclass(frozen=True)
class Output:
    """One tensor that a model returns."""

    key: str
    """Where it is in the result, such as "out" or "0.boxes"; "" when it is the result."""
    shape: tuple[int, ...]
    heads: tuple[str, ...]
    """Paths of the layers found behind it."""


@dataclass(frozen=True)
class Trace:
    """The heads and outputs of a model as one run shows them."""

    heads: tuple[Head, ...]
    outputs: tuple[Output, ...]
    """In evaluation mode."""
    training_outputs: tuple[Output, ...] = ()
    """In training mode, where that was traced."""

    @property
    def detector(self) -> bool:
        """True if the outputs are detections: class 0 is then the background."""
        return is_detection(output.key for output in self.outputs)

    @property
    def classes(self) -> int:
        """Classes that the heads tell apart, background included; 0 without a head."""
        return next((head.classes for head in self.heads if head.classes), 0)
