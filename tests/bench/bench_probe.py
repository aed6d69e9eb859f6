"""What each part of a probe costs, beside the tutorial's forward pass. Run by hand, one run:

    TORCH_HOME=.venv/share/netgraft-test-weights python tests/bench/bench_probe.py FOLDER

FOLDER has `train` and `val`, each with a folder of pictures per class. The parts: decoding (the one
pass of a run), preparing the fastest form (with its pilot), the features of all pictures, the head
by cross-validation; and the pictures of `val` that it names right, over seeds of folds. Then, in
turns, images/s of the plain forward pass (fp32, NCHW, as the tutorial does it) and of each form.

Seconds are wall time and, behind it, the CPU time of all threads: on a machine where others work,
only the second says much. `--model`, `--side`, `--threads` choose others; weights are the official
ones where they are at hand.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from netgraft.tuning.data import Manifest, open_data
from netgraft.tuning.data.loading import Normaliser, load
from netgraft.tuning.data.pixels import PictureExamples
from netgraft.tuning.data.reading import Reading
from netgraft.tuning.tasks.classification import TASK
from netgraft.tuning.train.features import Extractor, FrozenForm, batch_size, extractor
from netgraft.tuning.train.folds import stratified
from netgraft.tuning.train.probe import probe

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CPU = torch.device("cpu")
SEEDS = range(8)
ROUNDS = 3
HEADS = {"mobilenet_v2": "classifier.1"}
"""Paths of heads that are not called "fc"."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.environ["NETGRAFT_DATA_ROOTS"] = str(options.folder.resolve())
    module, head = network(options.model)
    manifest = open_data(str(options.folder.resolve()))
    reading = timed("decode", lambda: Reading(manifest, options.side).finish())
    batches = normalised(manifest, reading, options.side)
    first = batches[0]
    made = timed("prepare", lambda: extractor(module, head, first, device=CPU))
    if not isinstance(made, Extractor):
        raise SystemExit(str(made.because))
    say(f"form: {made.form}")
    features_NF = timed("features", lambda: torch.cat([made(batch) for batch in batches]))
    train, val = (manifest.indices(part) for part in ("train", "held_out"))
    labels_N = torch.tensor(manifest.labels)
    judged(features_NF[train], labels_N[train], features_NF[val], labels_N[val])
    forms(module, head, batches, made.form)


def network(name: str) -> tuple[nn.Module, str]:
    """A model of torchvision and the path of its head."""
    home = Path(torch.hub.get_dir()) / "checkpoints"
    weights = "IMAGENET1K_V1" if list(home.glob(f"{name}-*.pth")) else None
    if weights is None:
        say(f"{name}: random weights")
    return getattr(torchvision.models, name)(weights=weights).eval(), HEADS.get(name, "fc")


def normalised(manifest: Manifest, reading: Reading, side: int) -> list[Tensor]:
    """All pictures in batches for features."""
    everything = range(len(manifest.names))
    examples = PictureExamples(manifest, everything, side, reading.pixels)
    size = batch_size(side)
    order = [list(everything[at : at + size]) for at in range(0, len(everything), size)]
    loaded = Normaliser(MEAN, STD, CPU)(load(examples, order, TASK.collate, seed=None))
    return timed("crop and normalise", lambda: [x_NCHW for x_NCHW, _ in loaded])


def judged(x_NF: Tensor, labels_N: Tensor, val_MF: Tensor, val_M: Tensor) -> None:
    """Train heads by other folds, and count what they name right."""
    classes = int(labels_N.max()) + 1
    right = []
    for seed in SEEDS:
        folds_NS = stratified(labels_N.tolist(), seed=seed)
        found = timed(
            "head" if seed == 0 else "",
            lambda folds_NS=folds_NS: probe(x_NF, labels_N, classes, folds_NS, "accuracy"),
        )
        logits_MK = val_MF @ found.weight.T + found.bias
        right.append(int((logits_MK.argmax(1) == val_M).sum()))
        loss = nn.functional.cross_entropy(logits_MK / found.temperature, val_M)
        say(
            f"  seed {seed}: C·F {found.c * x_NF.shape[1]:.3g}, out of fold "
            f"{found.accuracy.value:.4f} ({found.accuracy.low:.3f} to {found.accuracy.high:.3f}), "
            f"right {right[-1]} of {len(val_M)}, log-loss {float(loss):.3f}"
        )
    share = [each / len(val_M) for each in right]
    say(f"right: median {statistics.median(share):.4f}, {min(share):.4f} to {max(share):.4f}")


def forms(module: nn.Module, head: str, batches: list[Tensor], chosen: FrozenForm) -> None:
    """Images/s of the plain forward pass and of the forms, in turns."""
    some = batches[:2]
    runs: dict[str, Callable[[Tensor], Any]] = {"plain forward": torch.no_grad()(module)}
    for form in {FrozenForm("fp32", channels_last=True, folded=True), chosen}:
        made = extractor(module, head, batches[0], device=CPU, form=form)
        assert isinstance(made, Extractor)
        runs[str(made.form)] = made
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            run(some[0])
            spent[name].append(measured(lambda run=run: [run(batch) for batch in some])[1:])
    pictures = sum(map(len, some))
    medians = {name: [statistics.median(each) for each in zip(*of, strict=True)] for name, of in spent.items()}  # fmt: skip  # noqa: E501
    for name, (wall, cpu) in medians.items():
        ratios = [plain / own for plain, own in zip(medians["plain forward"], (wall, cpu), strict=True)]  # fmt: skip  # noqa: E501
        say(
            f"{name:32} {pictures / wall:7.1f} images/s, {pictures / cpu:7.1f} per CPU second; "
            f"{ratios[0]:.2f} and {ratios[1]:.2f} × plain"
        )


def timed(part: str, work: Callable[[], Any]) -> Any:
    result, wall, cpu = measured(work)
    if part:
        say(f"{part:20} {wall:7.2f} s  ({cpu:.2f} CPU s)")
    return result


def measured(work: Callable[[], Any]) -> tuple[Any, float, float]:
    start, began = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - start, time.process_time() - began


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
