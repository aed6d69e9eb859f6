"""From a request to a resolved spec: everything that can be checked before training starts.

The model is built without its weights (on meta), so a check costs seconds at most.
"""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from netgraft.anatomy.standin import StandIn
from netgraft.errors import (
    HeadMismatch,
    InvalidData,
    InvalidValue,
    NotEnoughWorkers,
    NothingTrains,
    NotPossible,
)
from netgraft.language import Message, in_context, mark
from netgraft.models import bases, resolve
from netgraft.models.build import build
from netgraft.models.losses.outputs import must_fit
from netgraft.models.recipe import Recipe
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.tuning.data import Manifest, open_data
from netgraft.tuning.data.held_back import roles
from netgraft.tuning.data.kept import keep
from netgraft.tuning.data.refusals import must_train
from netgraft.tuning.jobs.ceilings import check_price
from netgraft.tuning.jobs.classes import REFUSALS, outputs, shortest
from netgraft.tuning.jobs.fitting import Graft, in_order_of, with_head
from netgraft.tuning.jobs.heads import head_paths
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.sides import small
from netgraft.tuning.jobs.spec import CONVERGED, Request, ResolvedSpec, Spec
from netgraft.tuning.jobs.varying import varying
from netgraft.tuning.tasks.registry import task_for
from netgraft.tuning.tasks.task import Task
from netgraft.tuning.train.step import train_only
from netgraft.tuning.train.strategies import Defaults, Facts, is_imbalanced

PROBED = "classification"
"""The catalogue's task of which probes are made."""
CALLED = {
    "epochs": mark("epochs"),
    "lr": mark("learning rate"),
    "batch_size": mark("batch size"),
    "optimizer": mark("optimizer"),
    "loss": in_context("function", "loss"),
    "workers": mark("workers"),
    "device": mark("device"),
    "strategy": mark("strategy"),
    "image_size": mark("image size"),
    "seed": mark("seed"),
}
"""The values of a spec as sentences name them."""
SIDES = (64, 96, 128, 160, 192, 224)
"""Tried in turn when a data set's own side is too small for a model."""


@dataclass(frozen=True)
class Subject:
    """The model to train, its data set and its task."""

    store: Store
    recipe: Recipe
    data: Manifest
    task: Task
    module: nn.Module
    """On meta."""
    grafted: Message | None = None
    """The sentence about the new head that the model got for the data."""


def plan(
    request: Request, capacity: Capacity, store: Store, graft: Graft | None = None
) -> ResolvedSpec:
    """The resolved spec for a request, with what was assumed.

    With `graft`, a model of a zoo that nobody has retargeted gets a head for the data's classes.
    Raises InvalidValue, UnknownModel, NotPossible, HeadMismatch, LossMismatch, NothingTrains,
    DataNotFound, OutsideDataRoots, InvalidData and NotEnoughWorkers. Weights are not fetched and
    pictures not read: the run does that.
    """
    subject = subject_of(request, store, graft)
    workers, device = _place(request, capacity)
    facts = _facts(subject, request, workers, device)
    defaults = subject.task.defaults(
        facts, optimizer=request.optimizer or "", strategy=request.strategy or ""
    )
    batch_size = request.batch_size or defaults.batch_size
    _check_batch(batch_size, workers, facts, subject.data.reference)
    side, why_side = _side(
        subject, request.image_size, batch_size // workers, probes=defaults.strategy != "full"
    )
    _check_classes(subject, side)
    loss = request.loss or subject.recipe.loss or subject.task.losses[0]
    _check_loss(subject, loss, side)
    _check_trains(subject, defaults.strategy)
    _check_precision(request, device)
    classifies = PROBED in subject.task.models
    vary = varying(request, subject.data, loss, defaults, classifies=classifies)
    check_price(request.max_cost, device)
    spec = Spec(
        model=subject.recipe.id,
        data=subject.data.reference,
        epochs=request.epochs or defaults.epochs,
        lr=request.lr or defaults.lr,
        batch_size=batch_size // workers * workers,
        optimizer=_optimizer(request, subject, defaults),
        loss=loss,
        workers=workers,
        device=device,
        precision=request.precision or "",
        strategy=defaults.strategy,
        image_size=side,
        seed=0 if request.seed is None else request.seed,
        augment=vary.augment,
        mirror=vary.mirror,
        balance=vary.balance,
        label_smoothing=vary.label_smoothing,
        mixup=vary.mixup,
        skip_bad=request.skip_bad or 0.0,
        layout=request.layout or "",
        threads=request.threads or 0,
        accumulate=request.accumulate or 1,
        features=request.features or "",
        patience=_patience(request, defaults),
        max_minutes=request.max_minutes or 0.0,
        max_cost=request.max_cost or 0.0,
        options=request.options,
        fingerprint=_kept(request, subject.data, store),
    )
    usual_for = subject.task.models[0]
    because = defaults.because | {
        "loss": Message("the model's own")
        if subject.recipe.loss
        else Message("the usual one for {task}", task=usual_for),
        "workers": _why_workers(device),
        "device": Message("there is a GPU") if device == "gpu" else Message("there is no GPU"),
        "image_size": why_side,
        "seed": Message("the same seed gives the same numbers on the same machine"),
    }
    if request.batch_size not in (None, spec.batch_size):
        because["batch_size"] = Message(
            "{asked} cannot be shared evenly by {workers} workers",
            asked=request.batch_size,
            workers=workers,
        )
    guesses = tuple(guess.said for guess in subject.data.guesses)
    grafted = (subject.grafted,) if subject.grafted else ()
    lines = (*_assumptions(request, spec, because), *vary.because)
    return ResolvedSpec(spec, (*grafted, *guesses, *lines))


def subject_of(request: Request, store: Store, graft: Graft | None = None) -> Subject:
    """Resolve the model and the data set and check that they can be trained together."""
    request.check()
    recipe = resolve.resolve(request.model, "pretrained", store).recipe
    task = task_for(bases.task(recipe.base), recipe.base.name)
    if request.loss is not None and request.loss not in task.losses:
        expected = Message("one of {choices}", choices=task.losses)
        raise InvalidValue(name="loss", value=repr(request.loss), expected=expected)
    data = open_data(request.data, request.options)
    must_train(data)
    recipe, grafted = with_head(recipe, data, task, graft) if graft else (recipe, None)
    return Subject(store, recipe, data, task, build(recipe, store, device="meta"), grafted)


def _kept(request: Request, data: Manifest, store: Store) -> str:
    """Keep the data set as it is agreed upon, and return its fingerprint.

    Raises InvalidData where the request is for other data.
    """
    fingerprint = keep(data, store)
    if request.fingerprint and request.fingerprint != fingerprint:
        problem = Message("it has changed since it was agreed upon; look at it and ask again.")
        raise InvalidData(data=data.reference, problem=problem)
    return fingerprint


def _facts(subject: Subject, request: Request, workers: int, device: str) -> Facts:
    base, data = subject.recipe.base, subject.data
    fit = roles(data).fit
    counts = Counter(data.labels[index] for index in fit)
    return Facts(
        examples=len(fit),
        classes=len(data.class_names),
        imbalanced=is_imbalanced([counts[label] for label in range(len(data.class_names))]),
        pretrained=base.weights is not None or base.file is not None,
        batch_norm=any(isinstance(module, _BatchNorm) for module in subject.module.modules()),
        gpu=device == "gpu",
        workers=workers,
        probes=_probes(subject, request),
        adapters=subject.recipe.has_adapters,
    )


def _probes(subject: Subject, request: Request) -> bool:
    """Return whether a probe can be made: by cross-entropy, of a head that is known."""
    if PROBED not in subject.task.models or request.loss or subject.recipe.loss:
        return False
    return len(head_paths(subject.recipe, subject.store)) == 1


def _optimizer(request: Request, subject: Subject, defaults: Defaults) -> str:
    """The optimizer: a probe converges, unless it was said how it is trained."""
    said = (request.optimizer, request.lr, request.epochs, request.batch_size)
    if defaults.strategy != "probe" or any(each is not None for each in said):
        return defaults.optimizer
    return CONVERGED if _probes(subject, request) else defaults.optimizer


def _patience(request: Request, defaults: Defaults) -> int:
    """Epochs that somebody asked for are all done."""
    if request.patience is not None:
        return request.patience
    return defaults.patience if request.epochs is None else 0


def _place(request: Request, capacity: Capacity) -> tuple[int, str]:
    device = request.device or ("gpu" if capacity.gpus else "cpu")
    available = capacity.gpus if device == "gpu" else capacity.cpus
    # On CPUs one: two with half of the cores each were as fast for mobilenet_v2, and half as fast
    # for resnet18 (tests/bench/RESULTS.md).
    usual = settings().workers or (available if device == "gpu" else 1)
    workers = request.workers or max(1, min(usual, available))
    if workers > available:
        raise NotEnoughWorkers(asked=workers, device=device.upper(), available=available)
    return workers, device


def _why_workers(device: str) -> Message:
    if settings().workers:
        return Message("as many as the settings say, where there are so many")
    return Message("one on each GPU") if device == "gpu" else Message("its threads use all cores")


def _check_batch(batch_size: int, workers: int, facts: Facts, data: str) -> None:
    least = workers * (2 if facts.batch_norm else 1)
    if facts.examples < least:
        problem = Message(
            "{examples} pictures to train on are too few for {workers} workers.",
            examples=facts.examples,
            workers=workers,
        )
        raise InvalidData(data=data, problem=problem)
    if batch_size < least:
        raise InvalidValue(
            name="batch_size", value=batch_size, expected=_least_batch(least, workers, facts)
        )
    if batch_size > facts.examples:
        expected = Message(
            "at most {most}, the number of examples to train on", most=facts.examples
        )
        raise InvalidValue(name="batch_size", value=batch_size, expected=expected)


def _least_batch(least: int, workers: int, facts: Facts) -> Message:
    if workers == 1:
        return Message("at least {least}, because batch norm needs two examples", least=least)
    shared = Message(
        "at least {least}, because {workers} workers share it", least=least, workers=workers
    )
    normed = Message("{shared} and batch norm needs two examples each", shared=shared)
    return normed if facts.batch_norm else shared


def _side(
    subject: Subject, asked: int | None, per_worker: int, *, probes: bool
) -> tuple[int, Message]:
    native = bases.preprocessing(subject.recipe.base).size
    if asked is not None:
        if _takes(subject.module, asked, per_worker):
            return asked, Message("as asked")
        name = subject.recipe.base.name
        expected = Message("a side that {model} takes, such as {side}", model=name, side=native)
        raise InvalidValue(name="image_size", value=asked, expected=expected)
    own = subject.data.side or small(subject.data, probes=probes)
    if own is None or own >= native:
        return native, Message("what the model was made for")
    for side in sorted({own, *(s for s in SIDES if s > own), native}):
        if _takes(subject.module, side, per_worker):
            why = Message(
                "the pictures of {data} are small; more costs time only",
                data=subject.data.reference,
            )
            return side, why
    return native, Message("what the model was made for")


def _takes(module: nn.Module, side: int, per_worker: int) -> bool:
    """True if the model trains on squares of that side; tried on meta, without numbers."""
    x_NCHW = torch.zeros(min(2, per_worker), 3, side, side, device="meta")
    try:
        with torch.no_grad(), StandIn():
            module.train()(x_NCHW)
    except REFUSALS:
        return False
    return True


def _check_classes(subject: Subject, side: int) -> None:
    model_classes = outputs(subject.module, side, subject.recipe.base.name, subject.task.classes)
    data_classes = len(subject.data.class_names)
    if model_classes != data_classes:
        raise HeadMismatch(
            model=shortest(subject.recipe),
            model_classes=model_classes,
            data=subject.data.reference,
            data_classes=data_classes,
        )
    in_order_of(subject.recipe, subject.data, subject.task)


def _check_loss(subject: Subject, loss: str, side: int) -> None:
    # The picture requires a gradient because all layers may be frozen; the model gets a copy
    # because it may write over its input.
    x_NCHW = torch.zeros(2, 3, side, side, device="meta", requires_grad=True).clone()
    with StandIn():
        answer = subject.task.answer(subject.module.train()(x_NCHW))
    must_fit(loss, answer, subject.task.models[0], shortest(subject.recipe))


def _check_trains(subject: Subject, strategy: str) -> None:
    if strategy == "probe":
        heads = head_paths(subject.recipe, subject.store)
        if not heads:
            problem = Message("the head of this model is not known, so it cannot be trained alone.")
            raise NotPossible(problem=problem)
        train_only(subject.module, heads)
    if not any(parameter.requires_grad for parameter in subject.module.parameters()):
        raise NothingTrains(model=shortest(subject.recipe))


def _check_precision(request: Request, device: str) -> None:
    if request.precision == "fp16" and device == "cpu":
        expected = Message("fp32 or bf16 on a CPU")
        raise InvalidValue(name="precision", value="fp16", expected=expected)


def _assumptions(request: Request, spec: Spec, because: dict[str, Message]) -> tuple[Message, ...]:
    """One line for each value that differs from the request, such as one for "auto"."""
    lines = []
    for name, reason in because.items():
        value = getattr(spec, name)
        if getattr(request, name) != value:
            shown = f"{value:g}" if isinstance(value, float) else value
            called = Message(CALLED[name])
            lines.append(
                Message("{name} {value}: {reason}", name=called, value=shown, reason=reason)
            )
    return tuple(lines)
