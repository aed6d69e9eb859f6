"""One line of a listing of models."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One name that models can be asked for by. 0 and () mean that the library does not say."""

    name: str
    """As users type it: "resnet50", "timm/convnext_tiny"."""
    source: str
    task: str
    params: int
    accuracy: float
    """ImageNet-1K top-1 in per cent of the default weights."""
    image_size: int
    weights: tuple[str, ...]
    """Names of the pretrained weights, the default first."""
    files: tuple[str, ...] = ()
    """Where each of `weights` lies, as `cached` reads it: a file's name, or "hf:ORG/NAME"."""
    flops: int = 0
    """Floating-point operations of one example, a multiplication and its addition being two."""
    licence: str = ""
    """Of the default weights, in the library's own words."""
    title: str = ""
    """One line for people, where `name` is a model's id."""

    @property
    def short(self) -> str:
        """The library's own name, without the library before it."""
        return self.name.rpartition("/")[2]
