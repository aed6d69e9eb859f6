"""Which form of a module trains fastest here, measured: number format and memory layout.

What is fastest depends on the processor's instructions, the network and the side of its pictures
(bf16 was 2.9 × as fast as fp32 at 224 px on a CPU with AVX512_BF16, and slower at 64), so that no
rule holds. A pilot's result is written into the job's spec and never measured again: the same
spec gives the same numbers.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netgraft.tuning.train.memory import is_out_of_memory
from netgraft.tuning.train.objective import Batch, Objective
from netgraft.tuning.train.precision import autocast, worth_measuring
from netgraft.tuning.train.step import placed

CLEAR = 1.1
"""The ratio of two times above which one form is called faster."""
RULED_OUT = 1.6
"""The ratio to the best time above which a form is not measured again."""
RULED_OUT_COLD = 2.5
"""The same by first steps alone, which also make the kernels."""
ROUNDS, MOST_ROUNDS = 3, 8
"""Steps in each form after one that warms up: of these the fastest counts."""
SHARE = 0.05
"""The share of the run that rounds may take, after the first."""


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
    *,
    steps: int = 0,
) -> dict[Form, float]:
    """The seconds that a step takes in each form, the least of several.

    Forms are measured in turn, so that what else the machine does slows all of them. It ends when
    one form is left, when the order is clear, or with a share of the run, which has `steps`. All
    ranks measure at once, as they will train, and `over_ranks` sums their times: what is decided
    follows from sums alone, so that all ranks measure as often. A form for which there is not
    enough memory takes for ever.
    """
    times: dict[Form, float] = {}
    left, spent = list(forms), 0.0
    for turn in range(1 + MOST_ROUNDS):
        taken = dict(zip(left, over_ranks([seconds(form) for form in left]), strict=True))
        spent += sum(taken.values())
        # A first step is slower than those that follow, in every form.
        times |= {
            form: min(took, times[form]) if turn > 1 else took for form, took in taken.items()
        }
        best = min(times.values())
        most = (RULED_OUT if turn else RULED_OUT_COLD) * best
        left = [form for form in left if times[form] < most]
        if len(left) <= 1 or (turn >= ROUNDS and _is_clear([times[form] for form in left])):
            break
        if turn and spent > SHARE * steps * best:
            break
    return times


def _is_clear(times: Sequence[float]) -> bool:
    """Return whether more measuring would hardly change which is fastest."""
    first, second, *_ = sorted(times)
    return second > CLEAR * first


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
    """The seconds that a forward and a backward pass take; the module stays as it is.

    Infinitely many where there is not enough memory.
    """
    before = [buffer.clone() for buffer in module.buffers()]
    last = form.layout == "channels_last"
    layout = torch.channels_last if last else torch.contiguous_format
    module.to(memory_format=layout)
    batch = placed(batch, device, layout)
    begun, taken = _now(device), math.inf
    try:
        with autocast(device, form.precision):
            loss = objective.loss(criterion, module, batch)
        torch.autograd.backward(loss)
        taken = _now(device) - begun
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    module.zero_grad(set_to_none=True)
    module.to(memory_format=torch.contiguous_format)
    with torch.no_grad():
        for buffer, value in zip(module.buffers(), before, strict=True):
            buffer.copy_(value)
    return taken


def _now(device: torch.device) -> float:
    """Seconds, all work done. On a CPU those that this thread computed, which others do not slow:
    it takes part in all of a step, and waits for its other threads at the end of each kernel.
    """
    if device.type == "cpu":
        return time.thread_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()
