"""Which form of a module trains fastest here, measured: number format and memory layout.

What is fastest depends on the processor's instructions, the network and the side of its pictures
(bf16 was 2.9 × as fast as fp32 at 224 px on a CPU with AVX512_BF16, and slower at 64), so that no
rule holds. A pilot's result is written into the job's spec and never measured again: the same
spec gives the same numbers.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netgraft.tuning.train.objective import Batch, Objective
from netgraft.tuning.train.precision import autocast, worth_measuring
from netgraft.tuning.train.step import placed

CLEAR = 1.1
"""The ratio of two times above which one form is called faster."""
TIMED = 2
"""Steps timed in each form, of which the faster counts, after one that warms up."""


@dataclass(frozen=True)
class Form:
    """A number format and a memory layout of pictures."""

    precision: str
    """ "fp32", "bf16" or "fp16"."""
    layout: str
    """ "channels_last" or "contiguous"."""

    def __str__(self) -> str:
        return f"{self.precision} {self.layout}"


def forms(device: torch.device, *, bf16: bool = True) -> list[Form]:
    """The forms worth measuring on a device, the plainest first; `bf16` if its gradients hold."""
    others = [Form(each, "channels_last") for each in worth_measuring(device)]
    if device.type == "cuda":
        return others
    found = [Form("fp32", "contiguous"), Form("fp32", "channels_last")]
    return [*found, *others] if bf16 else found


def measure(
    forms: Sequence[Form],
    seconds: Callable[[Form], float],
    over_ranks: Callable[[Sequence[float]], list[float]] = list,
) -> dict[Form, float]:
    """The seconds that a step takes in each form.

    All ranks measure at once, as they will train, and `over_ranks` sums their times.
    """
    return dict(zip(forms, over_ranks([seconds(form) for form in forms]), strict=True))


def fastest(times: dict[Form, float]) -> Form:
    """The fastest form; a plainer one where the difference is within the noise."""
    best, *others = times
    for other in others:
        if times[other] * CLEAR < times[best]:
            best = other
    return best


def outsized(module: nn.Module, x_NCHW: Tensor) -> list[str]:
    """Paths of convolutions with kernels so large for their input that some weights meet only
    padding.

    oneDNN leaves the bf16 gradient of such a weight uninitialised where it should be 0 (found with
    torch 2.15: kernel 3, stride 2, input 1 × 1).
    """
    found: list[str] = []

    def look(path: str, layer: nn.Conv2d, given: Tensor) -> None:
        kernel = zip(layer.kernel_size, layer.dilation, given.shape[-2:], strict=True)
        if any((size - 1) * apart // 2 >= side for size, apart, side in kernel if size > 1):
            found.append(path)

    hooks = [
        layer.register_forward_pre_hook(lambda each, given, path=path: look(path, each, given[0]))
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d)
    ]
    training = module.training
    try:
        with torch.no_grad():
            module.eval()(x_NCHW)
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return found


def step_seconds(
    module: nn.Module,
    objective: Objective,
    criterion: nn.Module,
    batch: Batch,
    device: torch.device,
    form: Form,
) -> float:
    """The seconds that a forward and a backward pass take; the module stays as it is."""
    before = [buffer.clone() for buffer in module.buffers()]
    last = form.layout == "channels_last"
    layout = torch.channels_last if last else torch.contiguous_format
    module.to(memory_format=layout)
    batch = placed(batch, device, layout)
    taken = []
    for _ in range(1 + TIMED):
        begun = time.perf_counter()
        with autocast(device, form.precision):
            loss = objective.loss(criterion, module, batch)
        torch.autograd.backward(loss)
        _wait(device)
        taken.append(time.perf_counter() - begun)
    module.zero_grad(set_to_none=True)
    module.to(memory_format=torch.contiguous_format)
    with torch.no_grad():
        for buffer, value in zip(module.buffers(), before, strict=True):
            buffer.copy_(value)
    return min(taken[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
