"""One training step of a model on one device.

Knows no data set, no task in particular, no job and no Ray: torch alone is enough.
Distribution is laid around it by `wrap` (such as DistributedDataParallel), which gets the
module and returns the callable that the forward pass goes through.

Shapes: N batch, C channels, H and W pixels.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from netgraft.models.layers.norms import frozen_norms
from netgraft.tuning.train.averages import Averages
from netgraft.tuning.train.memory import is_out_of_memory, more_parts
from netgraft.tuning.train.mixing import mixed
from netgraft.tuning.train.objective import Batch, Objective, Tally
from netgraft.tuning.train.precision import autocast, is_channels_last
from netgraft.tuning.train.rates import Rates, below
from netgraft.tuning.train.schedule import Schedule
from netgraft.tuning.train.settling import settle, settled

IMAGES = 4
"""Dimensions of x_NCHW, for which torch has a memory layout of its own (channels_last)."""

LEAST_PART = 2
"""Pictures of a part of a batch: batch norm cannot do with one."""

DECAYED_FROM = 2
"""Weight decay is for matrices and kernels; biases and norms have one dimension."""


class Diverged(Exception):
    """The loss or the gradient of a step is not a number. The step was not taken."""

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self.value = value


@dataclass(frozen=True)
class StepConfig:
    """The settings of training steps."""

    schedule: Schedule
    optimizer: str = "adamw"
    """ "sgd", "adam" or "adamw"."""
    precision: str = "fp32"
    """ "fp32", "bf16" or "fp16"."""
    rates: Rates = field(default_factory=Rates)
    """Each layer's learning rate as a multiple of the schedule's."""
    layout: str = ""
    """ "channels_last", "contiguous", or "": as the precision has it."""
    accumulate: int = 1
    """Parts in which a batch goes through the model, one after the other, to need less memory."""
    weight_decay: float = 0.01
    momentum: float = 0.9
    clip: float = 5.0
    """Largest norm of the gradient; 0: no clipping."""
    mixup: float = 0.0
    """α of `mixing.mixed`; 0: pictures are not mixed."""
    seed: int = 0


class Learner:
    """A module, its optimizer, and the count of steps taken."""

    def __init__(
        self,
        module: nn.Module,
        objective: Objective,
        criterion: nn.Module,
        config: StepConfig,
        *,
        device: torch.device,
        head: Collection[str] = (),
        wrap: Callable[[nn.Module], nn.Module] = lambda module: module,
    ) -> None:
        """`criterion` is the loss module that the objective applies; `head` holds the paths of
        the modules that learn at the head's rate.

        Parameters whose requires_grad is False stay as they are, to the bit. Raises
        ValueError when no parameter is left to train.
        """
        self.layout = _layout(config)
        self.module = module.to(device)
        self.module.to(memory_format=self.layout)
        self.objective = objective
        self.criterion = criterion.to(device)
        self.judge = self.criterion
        """The loss of measurements, which may be another one."""
        self.config = config
        self.device = device
        self.steps = 0
        self.parts = config.accumulate
        """Parts of a batch: more than were asked for, once there was not enough memory."""
        self.optimizer = _optimizer(self.module, config, head, device)
        self.forward = wrap(self.module)
        self.averages = Averages(self.module)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self._is_ready = False
        """Whether training mode has been set once: frozen norms stay out of it."""
        self._sick = torch.zeros((), dtype=torch.bool, device=device)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.config.schedule.rate(self.steps)

    def step(self, batch: Batch, rank: int = 0) -> Tensor:
        """Learn from one batch; returns its mean loss, detached and not yet waited for.

        What is random in a step (dropout, stochastic depth) follows from the seed, the step
        and the rank alone, so a resumed run draws what an undisturbed one would have drawn.
        Raises Diverged: at once on a CPU, else with the next `must_be_sound`.
        """
        seed = hash((self.config.seed, self.steps, rank)) % 2**63
        self._train_mode()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * group["times"]
        loss = self._fitting(batch, seed)
        self._check(loss)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.steps += 1
        self.averages.update(self.steps)
        return loss

    def _fitting(self, batch: Batch, seed: int) -> Tensor:
        """Go through a batch in so many parts that memory suffices, from now on as well."""
        while True:
            torch.manual_seed(seed)
            self.optimizer.zero_grad(set_to_none=True)
            try:
                return self._backward(batch)
            except (MemoryError, RuntimeError) as error:
                more = more_parts(self.parts, _examples(batch), LEAST_PART)
                alone = self.forward is self.module  # other ranks wait for this one's gradients
                if more is None or not alone or not is_out_of_memory(error):
                    raise
                self.parts = more
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _backward(self, batch: Batch) -> Tensor:
        """Add up the gradients of a batch's parts; returns the mean loss."""
        parts = parts_of(batch, self.parts)
        total = sum(share for _, share in parts)
        losses = []
        for index, (part, share) in enumerate(parts):
            # DistributedDataParallel averages over the ranks once, with the last part.
            apart = getattr(self.forward, "no_sync", nullcontext)
            with apart() if index < len(parts) - 1 else nullcontext():
                with autocast(self.device, self.config.precision):
                    loss = self._loss(self._placed(part))
                if len(parts) > 1:
                    loss = loss * (share / total)
                torch.autograd.backward(self.scaler.scale(loss))
            losses.append(loss.detach())
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _loss(self, batch: Batch) -> Tensor:
        if not self.config.mixup:
            return self.objective.loss(self.criterion, self.forward, batch)
        blend = mixed(batch, self.config.mixup)
        return self.objective.loss(blend.criterion(self.criterion), self.forward, blend.batch)

    def _check(self, loss: Tensor) -> None:
        """Clip the gradient, and notice what is no number before it gets into the weights."""
        self.scaler.unscale_(self.optimizer)
        norm = self._clip()
        # A scaler looks for overflows by itself and leaves those steps out. The norm is the same
        # on all ranks, so that all stop at the same step.
        judged = loss if self.scaler.is_enabled() else norm
        if self.device.type == "cpu":
            if not math.isfinite(float(judged)):
                raise Diverged(float(norm if math.isfinite(float(loss)) else loss))
        else:
            self._sick |= ~torch.isfinite(judged)

    def _clip(self) -> Tensor:
        """Clip the gradient's norm, and return what it was."""
        trained, most = self._trained(), self.config.clip or math.inf
        if self.device.type != "cpu":
            return nn.utils.clip_grad_norm_(trained, most)
        norm = nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
        if most < float(norm) < math.inf:  # most gradients are short: they need no second pass
            nn.utils.clip_grads_with_norm_(trained, most, norm)
        return norm

    def must_be_sound(self) -> None:
        """Raise Diverged if a step since the start met what is no number; waits for the device."""
        if bool(self._sick):
            raise Diverged(math.nan)

    @torch.no_grad()
    def measure(self, batches: Iterable[Batch]) -> Tally:
        """The objective's figures over batches, with the module in eval mode as when used."""
        self.module.eval()
        tally = self.objective.tally()
        for batch in batches:
            placed = self._placed(batch)
            with autocast(self.device, self.config.precision):
                self.objective.measure(self.judge, self.module, placed, tally)
        return tally

    @contextmanager
    def measurable(
        self,
        batches: Iterable[Batch],
        over_ranks: Callable[[list[Tensor]], None] = lambda _: None,
    ) -> Iterator[None]:
        """Within the block the module is what would be kept now: averaged weights, settled norms.

        The norms settle on `batches`; `over_ranks` makes tensors their mean over the ranks.
        """
        passes = (partial(self._run, batch) for batch in batches)
        with self.averages.applied(), settled(self.module, passes, over_ranks):
            yield

    @contextmanager
    def holding(
        self,
        tensors: Mapping[str, Tensor],
        batches: Iterable[Batch],
        over_ranks: Callable[[list[Tensor]], None] = lambda _: None,
    ) -> Iterator[None]:
        """Within the block the module has other weights, its norms settled on `batches`."""
        live = {name: value.clone() for name, value in self.module.state_dict().items()}
        passes = (partial(self._run, batch) for batch in batches)
        try:
            self.module.load_state_dict(tensors, strict=False)
            with settled(self.module, passes, over_ranks):
                yield
        finally:
            self.module.load_state_dict(live)

    def settle(
        self,
        batches: Iterable[Batch],
        over_ranks: Callable[[list[Tensor]], None] = lambda _: None,
    ) -> None:
        """Give the norms the statistics of these batches, to keep: before the first step."""
        settle(self.module, (partial(self._run, batch) for batch in batches), over_ranks)

    def _run(self, batch: Batch) -> None:
        placed = self._placed(batch)
        with autocast(self.device, self.config.precision):
            self.objective.measure(self.judge, self.module, placed, self.objective.tally())

    def gradients(self) -> dict[str, float]:
        """‖∂loss/∂W‖² of each parameter in the last step, as it was applied; {} before any."""
        named = self.module.named_parameters()
        return {
            name: float(parameter.grad.double().square().sum())
            for name, parameter in named
            if parameter.grad is not None
        }

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as tensors and plain values only."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "averages": self.averages.state(),
            "steps": self.steps,
            "parts": self.parts,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.averages.restore(state.get("averages"))  # netgraft 0.2 kept none
        self.steps = state["steps"]
        self.parts = state.get("parts", self.parts)

    def own_buffers(self) -> list[Tensor]:
        """The tensors that each rank has of its own; `state` has those of one rank only."""
        return [*self.module.buffers(), *self.averages.buffers()]

    def _placed(self, batch: Batch) -> Batch:
        return placed(batch, self.device, self.layout)

    def _train_mode(self) -> None:
        """Put the module into training mode, where a measurement or a caller has left that."""
        if self.module.training and self._is_ready:
            return
        self._is_ready = True
        self.module.train()
        for norm in frozen_norms(self.module):
            norm.eval()

    def _trained(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]


def placed(batch: Batch, device: torch.device, layout: torch.memory_format) -> Batch:
    """A batch on the device, its images in the memory layout of the module."""
    given, target = batch
    return _moved(given, device, layout), _moved(target, device, torch.preserve_format)


def _moved(value: Any, device: torch.device, layout: torch.memory_format) -> Any:
    if isinstance(value, Tensor):
        kept = layout if value.ndim == IMAGES else torch.preserve_format
        return value.to(device, non_blocking=True, memory_format=kept)
    if isinstance(value, dict):
        return {name: _moved(part, device, layout) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(part, device, layout) for part in value)
    return value


def train_only(module: nn.Module, paths: Collection[str]) -> None:
    """Freeze everything except the modules at `paths`. Parameters there that are frozen stay so."""
    for name, parameter in module.named_parameters():
        if not below(name, paths):
            parameter.requires_grad_(False)


def _layout(config: StepConfig) -> torch.memory_format:
    last = is_channels_last(config.layout, config.precision)
    return torch.channels_last if last else torch.contiguous_format


def _examples(batch: Batch) -> int:
    given, target = batch
    both = isinstance(given, Tensor) and isinstance(target, Tensor)
    return len(given) if both else 1


def parts_of(batch: Batch, count: int) -> list[tuple[Batch, int]]:
    """A batch in parts of nearly equal size, each with its number of examples."""
    given, target = batch
    if count == 1 or not isinstance(given, Tensor) or not isinstance(target, Tensor):
        return [(batch, 1)]
    pairs = zip(given.chunk(count), target.chunk(count), strict=True)
    return [((x, y), len(x)) for x, y in pairs]


def _optimizer(
    module: nn.Module, config: StepConfig, head: Collection[str], device: torch.device
) -> torch.optim.Optimizer:
    times = config.rates.of(module, head)
    groups: dict[tuple[bool, float, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            key = (below(name, head), times[name], parameter.ndim >= DECAYED_FROM)
            groups.setdefault(key, []).append(parameter)
    if not groups:
        raise ValueError("no parameter is left to train")
    described = [
        {
            "params": parameters,
            "times": rate,
            "weight_decay": config.weight_decay if decayed else 0.0,
        }
        for (_, rate, decayed), parameters in groups.items()
    ]
    peak = config.schedule.peak
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            described, peak, momentum=config.momentum, nesterov=config.momentum > 0, fused=True
        )
    # A fused update is one call instead of hundreds, on a CPU too.
    if config.optimizer == "adam":
        return torch.optim.Adam(described, peak, fused=True)
    return torch.optim.AdamW(described, peak, fused=True)
