"""From a wish to an order: everything that can be checked before anything is spent.

The model is built without its weights (on meta), so looking costs seconds at most.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from netgraft.errors import (
    HeadMismatch,
    InvalidData,
    InvalidValue,
    NotEnoughWorkers,
    NothingTrains,
    NotPossible,
)
from netgraft.models import bases, resolve
from netgraft.models.build import build
from netgraft.models.losses.catalogue import fitting
from netgraft.models.losses.outputs import must_fit
from netgraft.models.recipe import Lora, Recipe, Retarget
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.tuning.data import DataSet, open_data
from netgraft.tuning.jobs.spec import Order, Spec, Wish
from netgraft.tuning.train import precision, strategies
from netgraft.tuning.train.step import main_logits, train_only
from netgraft.tuning.workers.launch import Capacity

SIDES = (64, 96, 128, 160, 192, 224)
"""Tried in turn when a data set's own side is too small for a model."""

REFUSALS = (RuntimeError, AssertionError, ValueError, IndexError, TypeError)
"""What models raise for an input that they do not take."""


@dataclass(frozen=True)
class Subject:
    """What is to be trained, looked at."""

    recipe: Recipe
    data: DataSet
    module: nn.Module
    """On meta."""


def order(wish: Wish, capacity: Capacity, store: Store) -> Order:
    """The complete order for a wish, with what was taken for granted.

    Raises InvalidValue, UnknownModel, NotPossible, HeadMismatch, LossMismatch, NothingTrains,
    WeightsUnavailable, DataNotFound, OutsideDataRoots, InvalidData and NotEnoughWorkers.
    """
    subject = look(wish, store)
    workers, device = _place(wish, capacity)
    facts = strategies.Facts(
        examples=subject.data.size("train"),
        classes=len(subject.data.class_names),
        pretrained=bases.trained(subject.recipe.base),
        batch_norm=any(isinstance(m, _BatchNorm) for m in subject.module.modules()),
        gpu=device == "gpu",
        workers=workers,
        adapters=any(subject.recipe.edits_of(Lora)),
    )
    defaults = strategies.classification(
        facts, optimizer=wish.optimizer or "", strategy=wish.strategy or ""
    )
    batch_size = wish.batch_size or defaults.batch_size
    _check_batch(batch_size, workers, facts, subject.data.reference)
    side, why_side = _side(subject, wish.image_size, per_worker=batch_size // workers)
    _check_classes(subject, side)
    loss = wish.loss or subject.recipe.loss or "cross_entropy"
    _check_loss(subject, loss, side)
    _check_trains(subject, defaults.strategy)
    format_ = _precision(wish, device)
    bases.fetch(subject.recipe.base)
    subject.data.check()
    spec = Spec(
        model=subject.recipe.id,
        data=subject.data.reference,
        epochs=wish.epochs or defaults.epochs,
        lr=wish.lr or defaults.lr,
        batch_size=batch_size // workers * workers,
        optimizer=defaults.optimizer,
        loss=loss,
        workers=workers,
        device=device,
        precision=format_.precision,
        strategy=defaults.strategy,
        image_size=side,
        seed=0 if wish.seed is None else wish.seed,
    )
    because = defaults.because | {
        "loss": "the model's own" if subject.recipe.loss else "the usual one for classification",
        "workers": "as many as the settings say, where there are so many",
        "device": "there is a GPU" if device == "gpu" else "there is no GPU",
        "precision": format_.because,
        "image_size": why_side,
        "seed": "the same seed gives the same numbers on the same machine",
    }
    if wish.batch_size not in (None, spec.batch_size):
        because["batch_size"] = f"{wish.batch_size} cannot be shared evenly by {workers} workers"
    return Order(spec, _assumptions(wish, spec, because))


def look(wish: Wish, store: Store) -> Subject:
    """Resolve the model and the data set and see that they can be trained together."""
    wish.check()
    recipe = resolve.resolve(wish.model, "pretrained", store).recipe
    task = bases.task(recipe.base)
    if task not in ("classification", "unknown"):
        problem = f"{recipe.base.name} does {task}, and this version trains classifiers only."
        raise NotPossible(problem=problem)
    if wish.loss is not None and wish.loss not in fitting("classification"):
        expected = f"one of {', '.join(fitting('classification'))}"
        raise InvalidValue(name="loss", value=repr(wish.loss), expected=expected)
    data = open_data(wish.data)
    return Subject(recipe, data, build(recipe, store, device="meta"))


def head_paths(recipe: Recipe, module: nn.Module, classes: int) -> tuple[str, ...]:
    """Module paths of the heads: those of the newest retarget, else the last layer that fits.

    Raises NotPossible when no layer has as many outputs as there are classes.
    """
    for edit in recipe.edits_of(Retarget):
        return tuple("head" if head.append else head.path for head in edit.heads)
    fitting_layers = [
        name
        for name, layer in module.named_modules()
        if isinstance(getattr(layer, "weight", None), torch.Tensor)
        and layer.weight.ndim >= 2
        and layer.weight.shape[0] == classes
    ]
    if not fitting_layers:
        problem = "the head of this model is not known, so it cannot be trained alone."
        raise NotPossible(problem=problem)
    return (fitting_layers[-1],)


def _place(wish: Wish, capacity: Capacity) -> tuple[int, str]:
    device = wish.device or ("gpu" if capacity.gpus else "cpu")
    available = capacity.gpus if device == "gpu" else capacity.cpus
    workers = wish.workers or max(1, min(settings().workers, available))
    if workers > available:
        raise NotEnoughWorkers(asked=workers, device=device.upper(), available=available)
    return workers, device


def _check_batch(batch_size: int, workers: int, facts: strategies.Facts, data: str) -> None:
    least = workers * (2 if facts.batch_norm else 1)
    if facts.examples < least:
        problem = f"{facts.examples} pictures to train on are too few for {workers} workers."
        raise InvalidData(data=data, problem=problem)
    if batch_size < least:
        why = " and batch norm needs two examples each" if facts.batch_norm else ""
        expected = f"at least {least}, for it is shared by {workers} workers{why}"
        raise InvalidValue(name="batch_size", value=batch_size, expected=expected)
    if batch_size > facts.examples:
        expected = f"at most {facts.examples}, the number of examples to train on"
        raise InvalidValue(name="batch_size", value=batch_size, expected=expected)


def _side(subject: Subject, asked: int | None, per_worker: int) -> tuple[int, str]:
    native = bases.preprocessing(subject.recipe.base).size
    if asked is not None:
        if _takes(subject.module, asked, per_worker):
            return asked, ""
        expected = f"a side that {subject.recipe.base.name} takes, such as {native}"
        raise InvalidValue(name="image_size", value=asked, expected=expected)
    own = subject.data.side
    if own is None:
        return native, "what the model was made for"
    for side in sorted({own, *(s for s in SIDES if s > own), native}):
        if _takes(subject.module, side, per_worker):
            return side, f"the pictures of {subject.data.reference} are small; more costs time only"
    return native, "what the model was made for"


def _takes(module: nn.Module, side: int, per_worker: int) -> bool:
    """Whether training takes squares of that side; tried on meta, with no numbers."""
    x_NCHW = torch.zeros(min(2, per_worker), 3, side, side, device="meta")
    try:
        with torch.no_grad():
            module.train()(x_NCHW)
    except REFUSALS:
        return False
    return True


def _check_classes(subject: Subject, side: int) -> None:
    x_NCHW = torch.zeros(2, 3, side, side, device="meta")
    try:
        with torch.no_grad():
            model_classes = main_logits(subject.module.eval()(x_NCHW)).shape[1]
    except REFUSALS as error:
        problem = f"{subject.recipe.base.name} takes no pictures of {side} × {side} pixels."
        raise NotPossible(problem=problem) from error
    data_classes = len(subject.data.class_names)
    if model_classes != data_classes:
        raise HeadMismatch(
            model=_short(subject.recipe),
            model_classes=model_classes,
            data=subject.data.reference,
            data_classes=data_classes,
        )


def _check_loss(subject: Subject, loss: str, side: int) -> None:
    # What wants a gradient is the picture, for all layers may be frozen, and a copy of it, for
    # a model may write over what it is given.
    x_NCHW = torch.zeros(2, 3, side, side, device="meta", requires_grad=True).clone()
    logits_NK = main_logits(subject.module.train()(x_NCHW))
    must_fit(loss, logits_NK, "classification", _short(subject.recipe))


def _check_trains(subject: Subject, strategy: str) -> None:
    if strategy == "probe":
        classes = len(subject.data.class_names)
        train_only(subject.module, head_paths(subject.recipe, subject.module, classes))
    if not any(parameter.requires_grad for parameter in subject.module.parameters()):
        raise NothingTrains(model=_short(subject.recipe))


def _short(recipe: Recipe) -> str:
    """What a user may type to mean this model."""
    return recipe.id[:12] if recipe.edits else recipe.base.name


def _precision(wish: Wish, device: str) -> precision.Choice:
    if wish.precision is None:
        return precision.fastest(device)
    if wish.precision == "fp16" and device == "cpu":
        raise InvalidValue(name="precision", value="fp16", expected="fp32 or bf16 on a CPU")
    return precision.Choice(wish.precision, "")


def _assumptions(wish: Wish, spec: Spec, because: dict[str, str]) -> tuple[str, ...]:
    """One line for each value that is not what was asked for, such as "auto"."""
    lines = []
    for name, reason in because.items():
        value = getattr(spec, name)
        if getattr(wish, name) != value:
            shown = f"{value:g}" if isinstance(value, float) else value
            lines.append(f"{name.replace('_', ' ')} {shown}: {reason}")
    return tuple(lines)
