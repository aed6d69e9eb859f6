"""One training step of a model on one device.

Knows no data set, no task in particular, no job and no Ray: torch alone is enough.
Distribution is laid around it by `wrap` (such as DistributedDataParallel), which gets the
module and returns the callable that the forward pass goes through.

Shapes: N batch, C channels, H and W pixels.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netgraft.models.layers.norms import frozen_norms
from netgraft.tuning.train.objective import Batch, Objective, Tally
from netgraft.tuning.train.precision import autocast, channels_last_pays
from netgraft.tuning.train.schedule import Schedule

IMAGES = 4
"""Dimensions of x_NCHW, for which torch has a memory layout of its own (channels_last)."""

DECAYED_FROM = 2
"""Weight decay is for matrices and kernels; biases and norms have one dimension."""


@dataclass(frozen=True)
class StepConfig:
    """The settings of training steps."""

    schedule: Schedule
    optimizer: str = "adamw"
    """ "sgd", "adam" or "adamw"."""
    precision: str = "fp32"
    """ "fp32", "bf16" or "fp16"."""
    head_rate: float = 1.0
    """The head's learning rate as a multiple of the schedule's."""
    weight_decay: float = 0.01
    momentum: float = 0.9
    clip: float = 5.0
    """Largest norm of the gradient; 0: no clipping."""
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
        self.layout = (
            torch.channels_last if channels_last_pays(config.precision) else torch.contiguous_format
        )
        self.module = module.to(device)
        if self.layout is torch.channels_last:
            self.module.to(memory_format=torch.channels_last)
        self.objective = objective
        self.criterion = criterion.to(device)
        self.config = config
        self.device = device
        self.steps = 0
        self.optimizer = _optimizer(self.module, config, head, device)
        self.forward = wrap(self.module)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.config.schedule.rate(self.steps)

    def step(self, batch: Batch, rank: int = 0) -> Tensor:
        """Learn from one batch; returns its mean loss, detached and not yet waited for.

        What is random in a step (dropout, stochastic depth) follows from the seed, the step
        and the rank alone, so a resumed run draws what an undisturbed one would have drawn.
        """
        torch.manual_seed(hash((self.config.seed, self.steps, rank)) % 2**63)
        self._train_mode()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * group["times"]
        placed = self._placed(batch)
        with autocast(self.device, self.config.precision):
            loss = self.objective.loss(self.criterion, self.forward, placed)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(loss))
        if self.config.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self._trained(), self.config.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.steps += 1
        return loss.detach()

    @torch.no_grad()
    def measure(self, batches: Iterable[Batch]) -> Tally:
        """The objective's figures over batches, with the module in eval mode as when used."""
        self.module.eval()
        tally = self.objective.tally()
        for batch in batches:
            placed = self._placed(batch)
            with autocast(self.device, self.config.precision):
                self.objective.measure(self.criterion, self.module, placed, tally)
        return tally

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
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.steps = state["steps"]

    def _placed(self, batch: Batch) -> Batch:
        """A batch on the device, its images in the memory layout of the module."""
        given, target = batch
        return self._moved(given, self.layout), self._moved(target, torch.preserve_format)

    def _moved(self, value: Any, layout: torch.memory_format) -> Any:
        if isinstance(value, Tensor):
            kept = layout if value.ndim == IMAGES else torch.preserve_format
            return value.to(self.device, non_blocking=True, memory_format=kept)
        if isinstance(value, dict):
            return {name: self._moved(part, layout) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._moved(part, layout) for part in value)
        return value

    def _train_mode(self) -> None:
        self.module.train()
        for norm in frozen_norms(self.module):
            norm.eval()

    def _trained(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]


def train_only(module: nn.Module, paths: Collection[str]) -> None:
    """Freeze everything except the modules at `paths`. Parameters there that are frozen stay so."""
    for name, parameter in module.named_parameters():
        if not _below(name, paths):
            parameter.requires_grad_(False)


def _below(name: str, paths: Collection[str]) -> bool:
    return any(not path or name == path or name.startswith(f"{path}.") for path in paths)


def _optimizer(
    module: nn.Module, config: StepConfig, head: Collection[str], device: torch.device
) -> torch.optim.Optimizer:
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            key = (_below(name, head), parameter.ndim >= DECAYED_FROM)
            groups.setdefault(key, []).append(parameter)
    if not groups:
        raise ValueError("no parameter is left to train")
    described = [
        {
            "params": parameters,
            "times": config.head_rate if in_head else 1.0,
            "weight_decay": config.weight_decay if decayed else 0.0,
        }
        for (in_head, decayed), parameters in groups.items()
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
