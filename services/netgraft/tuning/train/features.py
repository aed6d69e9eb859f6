"""The input of a frozen network's head, in the fastest form that the machine has for it.

A head that is a Linear (or a 1×1 convolution) behind the pooling sees each picture as one vector,
which stays the same while nothing before the head is trained: it is worked out once, with batch
norms folded away, in channels_last memory, and in the number format that a short pilot measured to
be fastest. Knows no data set and no job.

Shapes: N batch, C channels, H and W pixels, F features, K classes.
"""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraft.language import Message
from netgraft.models.layers.heads import pooled
from netgraft.tuning.train import folding, precision

CHECKED = 4
"""Pictures on which a form is compared with the network as it is."""
MOST_ERROR = {"fp32": 1e-3, "bf16": 0.2, "fp16": 0.2}
"""‖features − plain ones‖ / ‖plain ones‖ above which a form is not used. bf16 changes
mobilenet_v2's by 0.02 to 0.06, and a probe answers as well on them; where it cannot hold a
network's numbers they are far off, or NaN."""
PIXELS = 8 * 224 * 224
"""Pixels of a pilot's batch: with fewer, calling the kernels takes longer than they do."""
CLEAR = 1.25
"""The ratio of two times above which one run of each decides; closer ones are run again."""


@dataclass(frozen=True)
class FrozenForm:
    """A way of running a frozen network. The same form, threads and batches give the same bits."""

    precision: str = "fp32"
    channels_last: bool = False
    folded: bool = False
    autocast: bool = False
    """Whether torch casts call by call, because the network fails when cast as a whole."""

    def __str__(self) -> str:
        said = [name for name in _WORDS if getattr(self, name)]
        return " ".join([self.precision, *said])

    @classmethod
    def parse(cls, text: str) -> Self:
        """The form whose str() is `text`."""
        number_format, *said = text.split()
        return cls(number_format, **{name: name in said for name in _WORDS})


_WORDS = ("channels_last", "folded", "autocast")


@dataclass(frozen=True)
class LinearHead:
    """A head whose logits are weight_KF · features_F + bias_K."""

    path: str
    classes: int
    features: int
    bias: bool

    def write(self, module: nn.Module, weight_KF: Tensor, bias_K: Tensor) -> None:
        """Put weights into the head of a module. Without a bias of its own, it takes none."""
        write_head(module, self.path, weight_KF, bias_K)


def write_head(module: nn.Module, path: str, weight_KF: Tensor, bias_K: Tensor) -> None:
    """Put weights into the layer at a path. One without a bias takes none."""
    layer: Any = module.get_submodule(path)
    with torch.no_grad():
        layer.weight.copy_(weight_KF.reshape(layer.weight.shape))
        if layer.bias is not None:
            layer.bias.copy_(bias_K)


@dataclass(frozen=True)
class NotLinear:
    """A head to train by gradient: its logits are no linear map of one vector a picture."""

    because: Message


@dataclass(frozen=True)
class Extractor:
    """A frozen network up to its head."""

    head: LinearHead
    form: FrozenForm
    device: torch.device
    module: nn.Module
    """A copy in eval mode, changed as the form says."""

    def __call__(self, x_NCHW: Tensor) -> Tensor:
        """Normalised float32 pixels → features_NF (float32, on the extractor's device)."""
        form = self.form
        layout = torch.channels_last if form.channels_last else torch.contiguous_format
        x_NCHW = x_NCHW.to(self.device, non_blocking=True, memory_format=layout)
        casting = precision.autocast(self.device, form.precision if form.autocast else "fp32")
        with torch.inference_mode(), casting:
            if not form.autocast:
                x_NCHW = x_NCHW.to(precision.dtype(form.precision))
            features_NF = _run(self.module, self.head.path, x_NCHW, to_the_end=False).features
        return features_NF.float().clone()  # made outside inference_mode, autograd may use it


def extractor(
    module: nn.Module,
    head: str,
    x_NCHW: Tensor,
    *,
    device: torch.device,
    form: FrozenForm | None = None,
    answer: Callable[[Any], Tensor] = lambda output: output,
) -> Extractor | NotLinear:
    """Prepare a network for features; the module itself stays as it is.

    `x_NCHW` is a batch of the run (normalised, float32), on which forms are compared and measured;
    `answer` finds logits_NK in the module's output. With a `form`, such as one that an earlier
    call chose, nothing is measured. A form that does not give the network's features on the batch
    is not used: the form that is returned is then a plainer one.
    """
    plain = copy.deepcopy(module).eval().requires_grad_(False).to(device)
    layer: Any = plain.get_submodule(head)
    if not _is_matrix(layer):
        because = Message("{head} is no Linear and no 1×1 convolution.", head=head)
        return NotLinear(because)
    sample_NCHW = x_NCHW[:CHECKED].to(device)
    pairs = folding.Pairs()
    reference_NF = _linear_input(plain, head, sample_NCHW, answer, pairs)
    if reference_NF is None:
        because = Message(
            "the logits of this model are no linear map of {head}'s input.", head=head
        )
        return NotLinear(because)
    classes, features = layer.weight.shape[:2]
    known = LinearHead(head, classes, features, bias=layer.bias is not None)
    forms = _Forms(plain, known, device, pairs, sample_NCHW, reference_NF)
    return forms.made(form) if form else forms.fastest(x_NCHW)


def batch_size(side: int) -> int:
    """Pictures of `side` pixels in a batch for features: as many pixels as 32 of 224, about."""
    return max(8, min(256, 8 * round(4 * (224 / side) ** 2)))


@dataclass(frozen=True)
class _Forms:
    """Makes extractors of one network, each compared with the network as it is."""

    plain: nn.Module
    head: LinearHead
    device: torch.device
    pairs: folding.Pairs
    sample: Tensor
    reference: Tensor

    def fastest(self, x_NCHW: Tensor) -> Extractor:
        """The fastest of the forms that suit this machine, measured on part of a batch."""
        few_NCHW = x_NCHW[: max(CHECKED, round(PIXELS / (x_NCHW.shape[2] * x_NCHW.shape[3])))]
        best = self.made(FrozenForm("fp32", channels_last=True, folded=True))
        for number_format in precision.worth_measuring(self.device):
            other = self.made(replace(best.form, precision=number_format))
            if other.form.precision == number_format and _is_faster(other, best, few_NCHW):
                best = other
        return best

    def made(self, form: FrozenForm) -> Extractor:
        """The extractor of a form, or of the next plainer one that gives the right features."""
        for tried in _from(form):
            made = self._as_said(tried)
            if self._agrees(made):
                return made
        return Extractor(self.head, FrozenForm(), self.device, self.plain)

    def _as_said(self, form: FrozenForm) -> Extractor:
        module = copy.deepcopy(self.plain)
        if form.folded:
            form = replace(form, folded=bool(folding.fold(module, self.pairs)))
        if form.channels_last:
            module = module.to(memory_format=torch.channels_last)
        if not form.autocast:
            module = module.to(precision.dtype(form.precision))
        return Extractor(self.head, form, self.device, module)

    def _agrees(self, made: Extractor) -> bool:
        try:
            features_NF = made(self.sample)
        except RuntimeError:  # a layer makes float32 by itself, or has no kernel for the format
            return False
        error = (features_NF - self.reference).norm() / self.reference.norm().clamp(min=1e-12)
        return bool(error <= MOST_ERROR[made.form.precision])


def _from(form: FrozenForm) -> Iterator[FrozenForm]:
    """The form and ever plainer ones, down to fp32 in channels_last."""
    yield form
    if form.precision != "fp32":
        if not form.autocast:
            yield replace(form, autocast=True)
        yield replace(form, precision="fp32", autocast=False)
    if form.folded:
        yield FrozenForm("fp32", form.channels_last)


@dataclass(frozen=True)
class _Seen:
    features: Tensor
    output: Any


class _Reached(Exception):
    """Raised when the head has been reached and what comes after it is not needed."""


def _run(module: nn.Module, head: str, x_NCHW: Tensor, *, to_the_end: bool) -> _Seen:
    """Run a module. Raises RuntimeError where it does not call its head on a picture."""
    found: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        found.append(pooled(given[0]))
        if not to_the_end:
            raise _Reached

    hook = module.get_submodule(head).register_forward_pre_hook(keep)
    output = None
    try:
        output = module(x_NCHW)
    except _Reached:
        pass
    finally:
        hook.remove()
    if not found:
        raise RuntimeError(f"{head} is not called")
    return _Seen(found[0], output)


@torch.inference_mode()
def _linear_input(
    plain: nn.Module,
    head: str,
    x_NCHW: Tensor,
    answer: Callable[[Any], Tensor],
    pairs: folding.Pairs,
) -> Tensor | None:
    """The head's input, if the logits are a linear map of it; None if they are not.

    The weights of the head, which is a copy, are drawn for this: those of a new one may be 0,
    with which every head looks linear. The run shows the pairs to fold, too.
    """
    layer: Any = plain.get_submodule(head)
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        drawn = torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5
        parameter.copy_(drawn)
    hooks = pairs.watch(plain)
    try:
        seen = _run(plain, head, x_NCHW, to_the_end=True)
    except RuntimeError:
        return None
    finally:
        for hook in hooks:
            hook.remove()
        pairs.forget_tensors()
    expected_NK = F.linear(seen.features, layer.weight.flatten(1), layer.bias)
    logits_NK = answer(seen.output).reshape(len(x_NCHW), -1)
    if logits_NK.shape != expected_NK.shape:
        return None
    error = (logits_NK - expected_NK).norm() / expected_NK.norm().clamp(min=1e-12)
    return seen.features.clone() if error <= MOST_ERROR["fp32"] else None


def _is_matrix(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and layer.weight[0, 0].numel() == 1
    return isinstance(layer, nn.Linear)


def _is_faster(one: Extractor, other: Extractor, x_NCHW: Tensor) -> bool:
    """Measure two extractors, whose first calls are over, in turn."""
    first, second = _seconds(one, x_NCHW), _seconds(other, x_NCHW)
    if not 1 / CLEAR < first / second < CLEAR:
        return first < second
    for _ in range(2):
        first, second = min(first, _seconds(one, x_NCHW)), min(second, _seconds(other, x_NCHW))
    return first < second


def _seconds(made: Extractor, x_NCHW: Tensor) -> float:
    # On a CPU the seconds that this thread computed: others' work must not decide.
    clock = time.thread_time if made.device.type == "cpu" else time.perf_counter
    start = clock()
    made(x_NCHW).sum().item()  # waits for a GPU
    return clock() - start
