"""What to train and how: as requested, and resolved. Plain values, no torch."""

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Self, cast

from netgraft.errors import InvalidValue
from netgraft.language import Message, from_plain, to_plain
from netgraft.tuning.data.manifest import Options

CONVERGED = "lbfgs"
"""The optimizer that trains a probe's head to convergence."""
OPTIMIZERS = ("sgd", "adam", "adamw", CONVERGED)
DEVICES = ("cpu", "gpu")
PRECISIONS = ("fp32", "bf16", "fp16")
STRATEGIES = ("full", "probe", "auto")
AUGMENTS = ("none", "light", "strong")
LAYOUTS = ("channels_last", "contiguous")
BALANCES = ("none", "weights", "sampling")

WHOLE_NUMBERS = {
    "epochs": (1, 10_000),
    "batch_size": (1, 65_536),
    "workers": (1, 1_024),
    "image_size": (8, 2_048),
    "seed": (0, 2**63 - 1),
    "threads": (1, 1_024),
    "accumulate": (1, 1_024),
    "patience": (0, 10_000),
}
"""Least and greatest value of each."""
CHOICES = {
    "optimizer": OPTIMIZERS,
    "device": DEVICES,
    "precision": PRECISIONS,
    "strategy": STRATEGIES,
    "augment": AUGMENTS,
    "layout": LAYOUTS,
    "balance": BALANCES,
}
SHARES = {"label_smoothing": 0.5, "mixup": 10.0}
"""The greatest value of each; the least is 0."""
HIGHEST_RATE = 10.0
CEILINGS = {"max_minutes": 365 * 24 * 60.0, "max_cost": 1e9}
"""Greatest value of each."""
AS_THE_DATA_SAY = Options()


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
    augment: str | None = None
    skip_bad: float | None = None
    layout: str | None = None
    threads: int | None = None
    accumulate: int | None = None
    features: str | None = None
    patience: int | None = None
    balance: str | None = None
    label_smoothing: float | None = None
    mixup: float | None = None
    mirror: bool | None = None
    max_minutes: float | None = None
    max_cost: float | None = None
    options: Options = AS_THE_DATA_SAY
    fingerprint: str | None = None

    def check(self) -> None:
        """Raise InvalidValue for the first invalid value."""
        self.options.check()
        for name in WHOLE_NUMBERS:
            check_whole(name, getattr(self, name))
        for name in CEILINGS:
            check_ceiling(name, getattr(self, name))
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
        for name, most in SHARES.items():
            value = getattr(self, name)
            if value is not None and not 0 <= value <= most:
                expected = Message("a number from 0 to {most:g}", most=most)
                raise InvalidValue(name=name, value=value, expected=expected)
        check_skip_bad(self.skip_bad)
        if not self.data.strip():
            expected = Message("`digits` or a folder")
            raise InvalidValue(name="data", value=Message("empty"), expected=expected)
        if not self.model.strip():
            expected = Message("a model's name or id")
            raise InvalidValue(name="model", value=Message("empty"), expected=expected)


def check_whole(name: str, value: int | None) -> None:
    """Raise InvalidValue for a whole number out of its range."""
    least, greatest = WHOLE_NUMBERS[name]
    if value is not None and not least <= value <= greatest:
        expected = Message("a whole number from {least:,} to {most:,}", least=least, most=greatest)
        raise InvalidValue(name=name, value=value, expected=expected)


def check_ceiling(name: str, value: float | None) -> None:
    """Raise InvalidValue for a ceiling out of its range."""
    most = CEILINGS[name]
    if value is not None and not 0 < value <= most:  # not true of NaN either
        expected = Message("a number above 0 and at most {most:g}, such as 10", most=most)
        raise InvalidValue(name=name, value=value, expected=expected)


def check_skip_bad(value: float | None) -> None:
    """Raise InvalidValue for what is no share."""
    if value is not None and not 0 <= value <= 1:
        expected = Message("a share from 0 to 1, such as 0.01")
        raise InvalidValue(name="skip_bad", value=value, expected=expected)


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
    # What follows was added later: those who stored nothing for it had its default.
    augment: str = ""
    """ "none", "light" or "strong"."""
    skip_bad: float = 0.0
    """Largest share of pictures to go on without, because they cannot be read."""
    layout: str = ""
    """Of pictures in memory: "channels_last", "contiguous"; "": as the precision has it."""
    threads: int = 0
    """Of each process; 0: as many as it has."""
    accumulate: int = 1
    """Parts in which a batch goes through the model."""
    features: str = ""
    """How the probe runs the frozen network: a number format and a layout, and so on."""
    patience: int = 0
    """Epochs without a better figure after which it stops; 0: it does all epochs."""
    balance: str = ""
    """ "none", "weights" of the loss, or "sampling"; "": none."""
    label_smoothing: float = 0.0
    """Share of the target that is spread over all classes."""
    mixup: float = 0.0
    """α of the Beta distribution by which pairs of pictures are mixed; 0: none are."""
    mirror: bool | None = None
    """Whether training pictures are mirrored half of the time; None: the run finds it out."""
    max_minutes: float = 0.0
    """From when it was asked for until its result is stored; 0: no ceiling."""
    max_cost: float = 0.0
    """In the currency of the settings; 0: no ceiling."""
    options: Options = AS_THE_DATA_SAY
    """How the data are read."""
    fingerprint: str = ""
    """Of the data that were agreed upon; "" where a picture was gone then."""

    def plain(self) -> dict[str, Any]:
        """The spec as plain values for JSON, without those that have their default."""
        return _changed(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Self:
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        options = Options(**known.pop("options", {}))
        return cls(**known, options=options)


def _changed(values: "Spec | Options") -> dict[str, Any]:
    """The fields that do not have their default, as plain values."""
    found = {field.name: getattr(values, field.name) for field in fields(values)}
    defaults = {field.name: field.default for field in fields(values)}
    return {
        name: _changed(value) if isinstance(value, Options) else value
        for name, value in found.items()
        if value != defaults[name]
    }


@dataclass(frozen=True)
class Resumed:
    """The last request to go on with a job, and what a ceiling has left of it."""

    since: float = 0.0
    """When, in seconds since the epoch; 0: never. Ceilings count from then."""
    times: int = 0
    """How often it was asked for more epochs."""
    epochs: int = 0
    """How many it was asked for last; they have a schedule of their own."""
    left: int = 0
    """Epochs that its ceiling left undone when it ended."""


NEVER = Resumed()


@dataclass(frozen=True)
class ResolvedSpec:
    """A spec and what was assumed for it, as the database keeps both."""

    spec: Spec
    assumptions: tuple[str, ...] = ()
    resumed: Resumed = NEVER

    def to_json(self) -> str:
        assumptions = [to_plain(line) for line in self.assumptions]
        document: dict[str, Any] = {"spec": self.spec.plain(), "assumptions": assumptions}
        if self.resumed != NEVER:
            document["resumed"] = asdict(self.resumed)
        return json.dumps(document, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        document = json.loads(text)
        lines = (cast("str", from_plain(line)) for line in document["assumptions"])
        resumed = Resumed(**document.get("resumed", {}))
        return cls(Spec.from_plain(document["spec"]), tuple(lines), resumed)
