"""What to train and how: as requested, and resolved. Plain values, no torch."""

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from netgraft.errors import InvalidValue
from netgraft.language import Message

OPTIMIZERS = ("sgd", "adam", "adamw")
DEVICES = ("cpu", "gpu")
PRECISIONS = ("fp32", "bf16", "fp16")
STRATEGIES = ("full", "probe", "auto")

WHOLE_NUMBERS = {
    "epochs": (1, 10_000),
    "batch_size": (1, 65_536),
    "workers": (1, 1_024),
    "image_size": (8, 2_048),
    "seed": (0, 2**63 - 1),
}
"""Least and greatest value of each."""
CHOICES = {
    "optimizer": OPTIMIZERS,
    "device": DEVICES,
    "precision": PRECISIONS,
    "strategy": STRATEGIES,
}
HIGHEST_RATE = 10.0


@dataclass(frozen=True)
class Request:
    """A tuning as requested; None is left to the service."""

    model: str
    data: str
    epochs: int | None = None
    lr: float | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    loss: str | None = None
    workers: int | None = None
    device: str | None = None
    precision: str | None = None
    strategy: str | None = None
    image_size: int | None = None
    seed: int | None = None

    def check(self) -> None:
        """Raise InvalidValue for the first invalid value."""
        for name, (least, greatest) in WHOLE_NUMBERS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= greatest:
                expected = Message(
                    "a whole number from {least:,} to {most:,}", least=least, most=greatest
                )
                raise InvalidValue(name=name, value=value, expected=expected)
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                expected = Message("one of {choices}", choices=list(choices))
                raise InvalidValue(name=name, value=repr(value), expected=expected)
        if self.lr is not None and not (math.isfinite(self.lr) and 0 < self.lr <= HIGHEST_RATE):
            expected = Message(
                "a number above 0 and at most {most:g}, such as 0.001", most=HIGHEST_RATE
            )
            raise InvalidValue(name="lr", value=self.lr, expected=expected)
        if not self.data.strip():
            expected = Message("`digits` or a folder")
            raise InvalidValue(name="data", value=Message("empty"), expected=expected)
        if not self.model.strip():
            expected = Message("a model's name or id")
            raise InvalidValue(name="model", value=Message("empty"), expected=expected)


@dataclass(frozen=True)
class Spec:
    """A tuning with every value chosen; `model` is an id, and `data` opens from any folder."""

    model: str
    data: str
    epochs: int
    lr: float
    batch_size: int
    optimizer: str
    loss: str
    workers: int
    device: str
    precision: str
    strategy: str
    image_size: int
    seed: int

    def plain(self) -> dict[str, Any]:
        """The spec as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        return cls(**{field.name: values[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class ResolvedSpec:
    """A spec and what was assumed for it, as the database keeps both."""

    spec: Spec
    assumptions: tuple[str, ...] = ()

    def to_json(self) -> str:
        document = {"spec": self.spec.plain(), "assumptions": self.assumptions}
        return json.dumps(document, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        document = json.loads(text)
        return cls(Spec.from_plain(document["spec"]), tuple(document["assumptions"]))
