"""The steps of a plan: one frozen dataclass for each action of the contract.

A class says its action's name and fields, whether the step makes a model, and whether it
runs only with a person's consent. Every planner makes these, and `run` carries them out;
to add a step, write its class here, its message in `agent.proto` and its handler in
`handlers`. Knows nothing of JSON, protobuf and of how a step is carried out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from types import NoneType
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

Value = str | int | float | tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One action of a plan. Fields that were not given are None, or () for lists.

    `model`, `a` and `b` hold a model reference, "$N" for the model that step N of the plan
    makes (from 1), or None for the conversation's current model.
    """

    action: ClassVar[str] = ""
    """The step's name in the contract, such as "retarget"."""
    makes_model: ClassVar[bool] = False
    """Whether later steps can refer to the model that it makes."""
    needs_consent: ClassVar[bool] = False
    """Whether it runs only with a person's consent. Nothing else decides this."""
    needs: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Required fields: at least one of each group."""

    def __init_subclass__(cls, action: str = "") -> None:
        super().__init_subclass__()
        if action:
            cls.action = action
            STEPS[action] = cls

    def __post_init__(self) -> None:
        """Make a whole number in a float field a float: 1 and 1.0 are the same plan."""
        for name, kind in types_of(self.action).items() if self.action else ():
            value = getattr(self, name)
            if kind is float and isinstance(value, int) and abs(value) <= LARGEST:
                object.__setattr__(self, name, float(value))

    def said(self) -> dict[str, Value]:
        """The fields that were given, in the contract's order."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in pairs if value is not None and value != ()}

    def references(self) -> Iterator[tuple[str, str]]:
        """The models that it names: field and reference."""
        for name in MODEL_FIELDS:
            if reference := getattr(self, name, None):
                yield name, reference


Steps = tuple[Step, ...]
STEPS: dict[str, type[Step]] = {}
"""The class of every action."""
LARGEST = 2**53
"""The largest absolute value of a field: beyond it readers of JSON lose digits."""
MODEL_FIELDS = ("model", "a", "b")
"""Fields that name a model."""


@dataclass(frozen=True, kw_only=True)
class _OfModel(Step):
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class _OfJob(Step):
    job: str | None = None
    """A job id; None: the conversation's current job."""


class _Edit:
    """The base of edits and training, which make a model."""

    makes_model: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Show(_OfModel, action="show"):
    """Draw a graph."""

    focus: str | None = None
    """A module path."""


@dataclass(frozen=True, kw_only=True)
class Compare(Step, action="compare"):
    """Draw two graphs side by side, differences marked."""

    a: str | None = None
    b: str | None = None
    needs: ClassVar = (("a", "b"),)


@dataclass(frozen=True, kw_only=True)
class Retarget(_Edit, _OfModel, action="retarget"):
    """Give a model a new head, or heads."""

    classes: int | None = None
    """None: as many as `class_names`."""
    class_names: tuple[str, ...] = ()
    needs: ClassVar = (("classes", "class_names"),)


@dataclass(frozen=True, kw_only=True)
class _Layers(_Edit, _OfModel):
    layers: tuple[str, ...] = ()
    """Module paths, or "backbone", "head", "all"."""
    needs: ClassVar = (("layers",),)


@dataclass(frozen=True, kw_only=True)
class Freeze(_Layers, action="freeze"):
    """Keep layers from training."""


@dataclass(frozen=True, kw_only=True)
class Unfreeze(_Layers, action="unfreeze"):
    """Let layers train."""


@dataclass(frozen=True, kw_only=True)
class SetLoss(_Edit, _OfModel, action="set_loss"):
    """Say what training minimises."""

    loss: str | None = None
    needs: ClassVar = (("loss",),)


@dataclass(frozen=True, kw_only=True)
class Undo(_Edit, _OfModel, action="undo"):
    """Go back to the parent model."""


@dataclass(frozen=True, kw_only=True)
class _Training(_OfModel):
    """A training: the tuning service fills in what is not said."""

    data: str | None = None
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
    max_minutes: float | None = None
    max_cost: float | None = None
    needs: ClassVar = (("data",),)


@dataclass(frozen=True, kw_only=True)
class Finetune(_Edit, _Training, action="finetune"):
    """Train."""

    needs_consent: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Forecast(_Training, action="forecast"):
    """Say how long a training would take, what it would cost and reach. Trains nothing."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(_OfModel, action="evaluate"):
    """Measure a model on a data set."""

    data: str | None = None
    split: str | None = None
    """A part of the data; None: what is held out."""
    needs: ClassVar = (("data",),)


@dataclass(frozen=True, kw_only=True)
class Predict(_OfModel, action="predict"):
    """Ask a model what is in pictures."""

    input: str | None = None
    """A picture or a folder of them."""
    needs: ClassVar = (("input",),)


@dataclass(frozen=True, kw_only=True)
class Export(_OfModel, action="export"):
    """Write a file to take away."""

    format: str | None = None
    """None: onnx."""


@dataclass(frozen=True, kw_only=True)
class ListModels(Step, action="list_models"):
    """Search the model zoo."""

    query: str | None = None
    task: str | None = None
    max_params: int | None = None
    min_accuracy: float | None = None
    """Per cent."""
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Inspect(_OfModel, action="inspect"):
    """Report a model's heads, parameters, FLOPs and input."""


@dataclass(frozen=True, kw_only=True)
class Status(_OfJob, action="status"):
    """Report the state of a tuning job."""


@dataclass(frozen=True, kw_only=True)
class Cancel(_OfJob, action="cancel"):
    """Stop a tuning job."""

    needs_consent: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Resume(_OfJob, action="resume"):
    """Go on with a tuning job."""

    epochs: int | None = None
    """More epochs; None: those that are left."""
    skip_bad: float | None = None
    max_minutes: float | None = None
    max_cost: float | None = None
    needs_consent: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class ListJobs(Step, action="list_jobs"):
    """List the tuning jobs."""

    state: str | None = None


def consent_needed(steps: Iterable[type[Step] | Step | None]) -> list[int]:
    """The numbers, from 1, of the steps that run only with consent."""
    return [number for number, step in enumerate(steps, 1) if step and step.needs_consent]


@lru_cache(maxsize=64)
def types_of(action: str) -> dict[str, type]:
    """The type of each field of an action's step: str, int, float or tuple."""
    step = STEPS[action]
    hints = get_type_hints(step)
    return {field.name: _bare(hints[field.name]) for field in fields(step)}


def _bare(hint: Any) -> type:
    """The type without None, and tuple for a list of texts."""
    if get_origin(hint) is tuple:
        return tuple
    bare: type = next(kind for kind in get_args(hint) if kind is not NoneType)
    return bare
