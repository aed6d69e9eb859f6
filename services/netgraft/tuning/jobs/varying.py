"""How training pictures are varied and classes are balanced, where the request leaves it open."""

from dataclasses import dataclass

from netgraft.errors import InvalidValue
from netgraft.language import Message
from netgraft.tuning.data.augment import mirrored_by_name
from netgraft.tuning.data.manifest import Manifest
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.train.strategies import Defaults

SMOOTHED = ("cross_entropy", "label_smoothing")
"""The losses whose targets can be smoothed."""
WEIGHTED = (*SMOOTHED, "focal", "bce", "mse", "l1", "huber")
"""The losses that take a weight for each class."""


@dataclass(frozen=True)
class Varying:
    """Resolved values of a spec, by the same names."""

    augment: str
    mirror: bool | None
    balance: str
    label_smoothing: float
    mixup: float
    because: tuple[Message, ...] = ()
    """The values that nobody asked for, and why."""


def varying(
    request: Request, data: Manifest, loss: str, defaults: Defaults, *, classifies: bool
) -> Varying:
    """The values for a request. Raises InvalidValue for those that do not fit the loss.

    `classifies`: whether pictures have one class each. Only a loss that nobody chose is changed.
    """
    if not classifies:
        _refuse(request)
    if request.label_smoothing and loss not in SMOOTHED:
        expected = Message("0, because the loss is {loss}", loss=loss)
        raise InvalidValue(name="label_smoothing", value=request.label_smoothing, expected=expected)
    if request.balance == "weights" and loss not in WEIGHTED:
        expected = Message("`none` or `sampling`, because {loss} takes no weights", loss=loss)
        raise InvalidValue(name="balance", value=repr("weights"), expected=expected)
    augment, why_augment = _augment(request, data)
    mirror, why_mirror = _mirror(request, data, augment, defaults.strategy)
    balance, why_balance = _balance(request, loss, defaults)
    smoothing, mixup = request.label_smoothing, request.mixup
    lines = (why_augment, why_mirror, why_balance)
    return Varying(
        augment,
        mirror,
        balance,
        defaults.label_smoothing if smoothing is None else smoothing,
        defaults.mixup if mixup is None else mixup,
        tuple(line for line in lines if line is not None),
    )


def _refuse(request: Request) -> None:
    """Refuse what only classification knows."""
    for name in ("label_smoothing", "mixup"):
        if getattr(request, name):
            expected = Message("0 for this task")
            raise InvalidValue(name=name, value=getattr(request, name), expected=expected)
    if request.balance not in (None, "none"):
        expected = Message("`none` for this task")
        raise InvalidValue(name="balance", value=repr(request.balance), expected=expected)


def _augment(request: Request, data: Manifest) -> tuple[str, Message | None]:
    if request.augment:
        return request.augment, None
    if data.kept_whole:
        return "none", Message("augment none: a part of such a picture could be of another class")
    return "light", Message("augment light: crops of at least half a picture")


def _mirror(
    request: Request, data: Manifest, augment: str, strategy: str
) -> tuple[bool | None, Message | None]:
    """Return whether pictures are mirrored; None where the probe has to say."""
    if request.mirror is not None:
        return request.mirror, None
    if augment == "none":
        return False, None
    if data.kept_whole or mirrored_by_name(data.class_names):
        return False, Message("mirror off: by the classes' names, it would change what they show")
    return (None if strategy == "auto" else True), None


def _balance(request: Request, loss: str, defaults: Defaults) -> tuple[str, Message | None]:
    if request.balance or defaults.balance == "none":
        return request.balance or "none", None
    name = defaults.balance if loss in WEIGHTED else "sampling"
    return name, Message("balance {name}: one class has most of the pictures", name=name)
