"""One training step of a classifier on one device.

Knows no data set, no job and no Ray: torch alone is enough. Distribution is laid around
it by `wrap` (such as DistributedDataParallel), which gets the module and gives the callable
that the forward pass goes through.

Shapes: N batch, K classes, C channels, H and W pixels.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netgraft.models.layers.norms import frozen_norms
from netgraft.tuning.train.precision import autocast, channels_last_pays
from netgraft.tuning.train.schedule import Schedule

Batch = tuple[Tensor, Tensor]
"""x_NCHW and labels_N, on the learner's device."""

AUXILIARY_WEIGHT = 0.3
"""Share of an auxiliary head's loss (GoogLeNet, arXiv:1409.4842, section 5)."""

DECAYED_FROM = 2
"""Weight decay is for matrices and kernels; biases and norms have one dimension."""


@dataclass(frozen=True)
class StepConfig:
    """How to step."""

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
    """Largest norm of the gradient; 0: unclipped."""
    seed: int = 0


@dataclass
class Tally:
    """Sums over examples, so that the parts of several workers add up."""

    examples: float = 0
    correct: float = 0
    loss: float = 0

    @property
    def metrics(self) -> dict[str, float]:
        """Share of right answers and mean loss."""
        count = max(1.0, self.examples)
        return {"accuracy": self.correct / count, "loss": self.loss / count}


class Learner:
    """A module, its optimizer, and the count of steps taken."""

    def __init__(
        self,
        module: nn.Module,
        loss: nn.Module,
        config: StepConfig,
        *,
        device: torch.device,
        head: Collection[str] = (),
        wrap: Callable[[nn.Module], nn.Module] = lambda module: module,
    ) -> None:
        """`head` holds the paths of the modules that learn at the head's rate.

        Parameters whose requires_grad is False stay as they are, to the bit. Raises
        ValueError when none is left to train.
        """
        self.layout = (
            torch.channels_last if channels_last_pays(config.precision) else torch.contiguous_format
        )
        self.module = module.to(device)
        if self.layout is torch.channels_last:
            self.module.to(memory_format=torch.channels_last)
        self.loss = loss.to(device)
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
        x_NCHW, labels_N = self._placed(batch)
        with autocast(self.device, self.config.precision):
            loss = self._loss(self.forward(x_NCHW), labels_N)
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
        """Accuracy and loss over examples, as the module will be used: in eval mode."""
        self.module.eval()
        tally = Tally()
        for batch in batches:
            x_NCHW, labels_N = self._placed(batch)
            with autocast(self.device, self.config.precision):
                logits_NK = main_logits(self.module(x_NCHW)).float()
            tally.examples += len(labels_N)
            tally.correct += float((logits_NK.argmax(1) == labels_N).sum())
            tally.loss += float(self.loss(logits_NK, labels_N)) * len(labels_N)
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
        """All that a resumed run needs, tensors and plain values only."""
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
        x_NCHW, labels_N = batch
        x_NCHW = x_NCHW.to(self.device, non_blocking=True, memory_format=self.layout)
        return x_NCHW, labels_N.to(self.device, non_blocking=True)

    def _loss(self, output: Any, labels_N: Tensor) -> Tensor:
        main, *auxiliary = every_logits(output)
        loss: Tensor = self.loss(main.float(), labels_N)
        for logits_NK in auxiliary:
            loss = loss + AUXILIARY_WEIGHT * self.loss(logits_NK.float(), labels_N)
        return loss

    def _train_mode(self) -> None:
        self.module.train()
        for norm in frozen_norms(self.module):
            norm.eval()

    def _trained(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]


def main_logits(output: Any) -> Tensor:
    """The classifier's answer out of whatever a forward pass gives."""
    return every_logits(output)[0]


def every_logits(output: Any) -> list[Tensor]:
    """The main logits_NK first, then those of auxiliary heads.

    torchvision's GoogLeNet and Inception name their fields; others give a tuple or list.
    """
    if isinstance(output, Tensor):
        return [output]
    if hasattr(output, "logits"):
        others = (getattr(output, name) for name in output._fields if name != "logits")
        return [output.logits, *(tensor for tensor in others if tensor is not None)]
    return [tensor for tensor in output if isinstance(tensor, Tensor)]


def train_only(module: nn.Module, paths: Collection[str]) -> None:
    """Freeze all but the modules at `paths`. What is frozen there already stays frozen."""
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
