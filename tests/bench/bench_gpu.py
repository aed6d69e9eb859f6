"""Full training of ResNet-50 on a GPU, and the share of the card's limit that it reaches:

    python tests/bench/bench_gpu.py                    # about six minutes on one GPU
    python tests/bench/bench_gpu.py --device cpu --side 64 --batch 8 --pictures 64 --steps 4

The step is netgraft's own Learner, whose imports are torch and nothing else; pictures come from
memory, and from JPEG files through netgraft's decoder and its loading threads (this part needs
Pillow and pydantic-settings, too). Forms: eager, and torch.compile around the module.

The limit is the longer of two times: the step's operations at the rate of a large matrix product,
and the least bytes that its layers move at the rate of a large copy, both measured here first.
Medians of steps; a step is timed with the device waited for every `--every` steps, so that the
queue of kernels is not drained for the clock's sake.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from netgraft.tuning.train.schedule import Schedule
from netgraft.tuning.train.step import Learner, StepConfig

GOAL = 4_200
"""Pictures a second from memory, on an H200."""
WARM = 5
CLASSES = 100


@dataclass(frozen=True)
class Limit:
    """What the card does at most, measured: operations and bytes a second."""

    flops: float
    bytes: float


class Objective:
    """Cross-entropy, as the classification task has it, without its counts."""

    def loss(self, criterion: nn.Module, forward: Callable[..., Tensor], batch: tuple) -> Tensor:
        x_NCHW, labels_N = batch
        return criterion(forward(x_NCHW), labels_N)


def main() -> None:
    arguments = parsed()
    device = torch.device(arguments.device)
    torch.backends.cudnn.benchmark = True
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    say(f"{name}, torch {torch.__version__}, {os.cpu_count()} CPU cores")
    limit = ceilings(device)
    say(f"matrix product {limit.flops / 1e12:.2f} TFLOP/s, copy {limit.bytes / 1e9:,.0f} GB/s")
    flops, moved = demand(arguments.side)
    floor = max(flops / limit.flops, moved / limit.bytes)
    because = "memory" if moved / limit.bytes > flops / limit.flops else "arithmetic"
    say(f"a picture: {flops / 1e9:.1f} GFLOP, {moved / 1e6:.0f} MB; limit {1 / floor:,.0f}/s")
    best = 0.0
    for form in ("eager", "compiled") if arguments.compile else ("eager",):
        learner = made(device, compiled=form == "compiled")
        rate = speed(learner, from_memory(arguments, device), arguments)
        best = max(best, rate)
        said = f"{rate * floor:.0%} of the limit; the bottleneck is {because}"
        say(f"from memory, {form}: {rate:,.0f} pictures/s; you run at {said}")
    say(f"goal on an H200: {GOAL:,}; reached {best / GOAL:.2f} of it")
    with tempfile.TemporaryDirectory() as folder:
        jpegs(Path(folder), arguments.pictures)
        decoded = speed(learner, from_jpeg(Path(folder), arguments, device), arguments)
    said = "the GPU" if decoded >= 0.95 * rate else "decoding on the CPU"
    say(f"from JPEG: {decoded:,.0f} pictures/s, {decoded / rate:.2f} × from memory (goal 0.95);")
    say(f"the bottleneck is {said}")


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--every", type=int, default=4, help="steps between two waits")
    parser.add_argument("--pictures", type=int, default=4_096, help="JPEG files to write")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="that decode")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


def ceilings(device: torch.device) -> Limit:
    """The rates of a large bf16 matrix product on random numbers and of a large copy."""
    side, length = (8192, 2**30) if device.type == "cuda" else (1024, 2**26)
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    product = seconds(lambda: a @ a, device)
    source = torch.empty(length, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = seconds(lambda: target.copy_(source), device)
    return Limit(2 * side**3 / product, 2 * length / copy)


def seconds(work: Callable[[], object], device: torch.device, rounds: int = 20) -> float:
    """The median time of a call, the device waited for."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        wait(device)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken[3:])


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def demand(side: int) -> tuple[float, float]:
    """The operations and the least bytes that training takes for a picture, in bf16.

    Each layer reads its input and writes its output once forward; backward reads both again and
    the gradient of its output, and writes that of its input. Weights are shared by a batch.
    """
    from torchvision.models import resnet50

    module = resnet50(num_classes=CLASSES).to("meta").train()
    moved = 0

    def count(_: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal moved
        moved += 2 * (3 * given[0].numel() + 3 * out.numel())

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.Linear | nn.MaxPool2d):
            layer.register_forward_hook(count)
    x_NCHW = torch.zeros(2, 3, side, side, device="meta")
    with FlopCounterMode(display=False) as counter:
        module(x_NCHW).sum().backward()
    return counter.get_total_flops() / 2, moved / 2


def made(device: torch.device, *, compiled: bool) -> Learner:
    """ResNet-50 as a job would train it: bf16, channels_last, AdamW, EMA."""
    from torchvision.models import resnet50

    torch.manual_seed(0)
    return Learner(
        resnet50(num_classes=CLASSES),
        Objective(),  # type: ignore[arg-type]
        nn.CrossEntropyLoss(),
        StepConfig(Schedule(1e-3, 10, 1_000), precision="bf16"),
        device=device,
        wrap=torch.compile if compiled else lambda module: module,
    )


def speed(
    learner: Learner, batches: Iterator[tuple[Tensor, Tensor]], arguments: argparse.Namespace
) -> float:
    """Pictures a second: the median over groups of steps."""
    for _ in range(WARM):
        learner.step(next(batches))
    wait(learner.device)
    taken = []
    for _ in range(max(1, arguments.steps // arguments.every)):
        begun = time.perf_counter()
        for _ in range(arguments.every):
            learner.step(next(batches))
        wait(learner.device)
        taken.append((time.perf_counter() - begun) / arguments.every)
    return float(arguments.batch / statistics.median(taken))


def from_memory(
    arguments: argparse.Namespace, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """A few batches of random pictures that are on the device already, over and over."""
    size = (arguments.batch, 3, arguments.side, arguments.side)
    generator = torch.Generator().manual_seed(0)
    held = [
        (
            torch.randn(size, generator=generator).to(device),
            torch.randint(CLASSES, size[:1], generator=generator).to(device),
        )
        for _ in range(4)
    ]
    while True:
        yield from held


def jpegs(folder: Path, count: int) -> None:
    """JPEG files of 500 × 375 pixels with the detail of photographs, in folders of classes."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for index in range(count):
        coarse = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
        grain = random.normal(0, 8, (375, 500, 3))
        pixels = (np.asarray(picture) + grain).clip(0, 255).astype(np.uint8)
        place = folder / f"{index % CLASSES:03d}"
        place.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(place / f"{index}.jpg", quality=90)


def from_jpeg(
    folder: Path, arguments: argparse.Namespace, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches that netgraft's threads decode in every epoch, cropped and mirrored."""
    os.environ.setdefault("NETGRAFT_DATA_ROOTS", str(folder))
    from netgraft.tuning.data import open_data
    from netgraft.tuning.data.loading import Normaliser, epoch_order, load
    from netgraft.tuning.data.pixels import PictureExamples, Pixels

    manifest = open_data(str(folder))
    pixels = Pixels(manifest, arguments.side, 0)  # nothing is kept: every epoch decodes
    everything = range(len(manifest.names))
    examples = PictureExamples(manifest, everything, arguments.side, pixels)
    normalise = Normaliser((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), device)
    epoch = 0
    while True:
        order = epoch_order(len(examples), arguments.batch, epoch=epoch, seed=0)
        made = partial(load, examples, order, together, seed=epoch, threads=arguments.threads)
        for x_NCHW, labels_N in normalise(made()):
            yield x_NCHW, labels_N.to(device)
        epoch += 1


def together(pairs: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    """A batch of uint8 pictures and their labels."""
    return torch.stack([x_CHW for x_CHW, _ in pairs]), torch.tensor([label for _, label in pairs])


if __name__ == "__main__":
    main()
