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
from netgraft.tuning.train.precision import autocast

TIMED = 2
"""Steps timed in each form, of which the faster counts, after one that warms up."""


@dataclass(frozen=True)
class Form:
    """A number format and a memory layout of pictures."""

    precision: str
    """ "fp32", "bf16" or "fp16"."""
    layout: str
    """ "channels_last" or "contiguous"."""


def forms(device: torch.device, precision: str = "") -> list[Form]:
    """The forms worth measuring on a device, of one precision if it is given."""
    if precision:
        return [Form(precision, "channels_last"), Form(precision, "contiguous")]
    if device.type == "cuda":
        brain = torch.cuda.is_bf16_supported(including_emulation=False)
        return [Form("bf16" if brain else "fp16", "channels_last")]
    found = [Form("fp32", "channels_last"), Form("fp32", "contiguous")]
    if _computes_bf16():
        found.insert(0, Form("bf16", "channels_last"))
    return found


def fastest(
    forms: Sequence[Form],
    seconds: Callable[[Form], float],
    over_ranks: Callable[[Sequence[float]], list[float]] = list,
) -> dict[Form, float]:
    """The seconds that a step takes in each form, the fastest first.

    All ranks measure at once, as they will train, and `over_ranks` sums their times.
    """
    if len(forms) == 1:
        return {forms[0]: 0.0}
    taken = over_ranks([seconds(form) for form in forms])
    return dict(sorted(zip(forms, taken, strict=True), key=lambda pair: pair[1]))


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
    given, target = batch
    x_NCHW: Tensor = given.to(device)
    if form.layout == "channels_last":
        module.to(memory_format=torch.channels_last)
        x_NCHW = x_NCHW.to(memory_format=torch.channels_last)
    taken = []
    for _ in range(1 + TIMED):
        begun = time.perf_counter()
        with autocast(device, form.precision):
            loss = objective.loss(criterion, module, (x_NCHW, target.to(device)))
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


def _computes_bf16() -> bool:
    """Whether oneDNN has bf16 kernels for this CPU; emulated it is 10 to 70 times slower."""
    asked = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(asked and asked())
