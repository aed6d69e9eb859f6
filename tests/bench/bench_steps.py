"""One step of full training: netgraft's beside the tutorial's and beside one tuned by hand.

    TORCH_HOME=.venv/share/netgraft-test-weights python tests/bench/bench_steps.py FOLDER

FOLDER has `train` and `val`, each with a folder of pictures per class. For each network and side,
in batches of 32, in turns, images/s of

- the tutorial's loop: full precision, NCHW, SGD, pictures decoded again in every epoch;
- a loop tuned by hand: number format and layout that are fastest here, pixels cached as bytes,
  mirrored, a fused optimizer;
- netgraft's Learner, fed by a run's own Batches (crops, averaged weights, clipping, all of it);
- one netgraft rank of one thread, and two of them with half of each batch;
- features: the tutorial's forward pass, and that of the probe.

Medians of the rounds' images/s, and ratios; the same by CPU second, which says more on a machine
where others work. Weights are the official ones where they are at hand.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, distributed, nn
from torch.nn.functional import cross_entropy
from tutorial_loop import MEAN, STD, loaders

from netgraft.models.recipes import get_recipe
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.data import open_data
from netgraft.tuning.data.reading import Reading
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request, Spec
from netgraft.tuning.tasks.classification import TASK
from netgraft.tuning.train import pilot
from netgraft.tuning.train.features import Extractor, extractor
from netgraft.tuning.train.pilot import Form
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.prepare import Batches, Data, learner_for, module_for
from netgraft.v1 import surgery_pb2

CPU = torch.device("cpu")
BATCH = 32
Speed = tuple[float, float]
"""images/s, and images per CPU second."""
Run = Callable[[], Speed]
"""Does some steps."""


def main() -> None:
    options = parsed()
    torch.set_num_threads(options.threads)
    os.environ["NETGRAFT_DATA_ROOTS"] = str(options.folder)
    for side in options.sides:
        for name in options.models:
            with tempfile.TemporaryDirectory() as scratch:
                measured(name, side, options, Path(scratch))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=lambda text: Path(text).resolve())
    parser.add_argument("--models", nargs="+", default=["mobilenet_v2", "resnet50"])
    parser.add_argument("--sides", nargs="+", type=int, default=[224, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="of a round, each")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", nargs="+", default=[], help="such as: hand netgraft")
    return parser.parse_args()


def measured(name: str, side: int, options: argparse.Namespace, scratch: Path) -> None:
    """Print the table of a network at a side."""
    own = Own(name, side, options.folder, scratch)
    spec = own.spec
    say(f"\n{name}, {side} px, {spec.precision} {spec.layout}, {torch.get_num_threads()} threads")
    with ExitStack() as processes:
        runs = made(own, options, processes)
        speeds: dict[str, list[Speed]] = {each: [] for each in runs}
        for turn in range(1 + options.rounds):
            for each, run in runs.items():
                speed = run()
                if turn:  # the first makes kernels, and fills caches
                    speeds[each].append(speed)
    for each, found in speeds.items():
        wall, cpu = (statistics.median(values) for values in zip(*found, strict=True))
        shown = ", ".join(f"{speed:.1f}" for speed, _ in found)
        say(f"  {each:20} {wall:8.1f} images/s, {cpu:8.1f} per CPU second   ({shown})")
    for over, under, goal in GOALS:
        if over in speeds and under in speeds:
            ratios = [
                [above / below for above, below in zip(*pair, strict=True)]
                for pair in zip(speeds[over], speeds[under], strict=True)
            ]
            wall, cpu = (statistics.median(values) for values in zip(*ratios, strict=True))
            say(f"  {over} : {under} = {wall:.3f}, by CPU second {cpu:.3f}   (goal {goal})")


def made(own: "Own", options: argparse.Namespace, processes: ExitStack) -> dict[str, Run]:
    """Return what is measured, by its name."""
    name, folder, side, steps = own.name, options.folder, own.side, options.steps
    classes = len(own.batches.class_names)
    makers: dict[str, Callable[[], Run]] = {
        "tutorial": lambda: Tutorial(network(name, classes), folder, side, steps),
        "hand": lambda: Hand(network(name, classes), own.batches, own.spec, steps),
        "netgraft": lambda: own.run(steps),
        "1 rank": lambda: processes.enter_context(Ranks(1, own, folder, steps)),
        "2 ranks": lambda: processes.enter_context(Ranks(2, own, folder, steps)),
        "forward": lambda: forward(network(name, classes).eval(), own, steps),
        "features": lambda: features(network(name, classes).eval(), own, steps),
    }
    return {each: make() for each, make in makers.items() if each in (options.only or makers)}


GOALS = (
    ("netgraft", "tutorial", "2.5 at 224 px with bf16 units, else 1.5"),
    ("hand", "tutorial", "the same"),
    ("netgraft", "hand", "0.98"),
    ("2 ranks", "1 rank", "1.8, by CPU second 0.9"),
    ("features", "forward", "5.5, without bf16 units 3"),
)


def network(name: str, classes: int) -> nn.Module:
    """A model of torchvision with a new head."""
    home = Path(torch.hub.get_dir()) / "checkpoints"
    weights = "IMAGENET1K_V1" if list(home.glob(f"{name}-*.pth")) else None
    model: Any = getattr(torchvision.models, name)(weights=weights)
    if hasattr(model, "fc"):
        model.fc = nn.Linear(model.fc.in_features, classes)
    else:
        model.classifier[-1] = nn.Linear(model.classifier[-1].in_features, classes)
    return model


def timed(work: Iterator[int]) -> Speed:
    """Do all of it, where it yields the number of images of each step."""
    began, computed = time.perf_counter(), time.process_time()
    images = sum(work)
    return images / (time.perf_counter() - began), images / (time.process_time() - computed)


class Tutorial:
    """tutorial_loop.py's inner loop."""

    def __init__(self, model: nn.Module, folder: Path, side: int, steps: int) -> None:
        self.model, self.steps = model.train(), steps
        self.train, _ = loaders(folder, side, 0)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def __call__(self) -> Speed:
        return timed(self._steps())

    def _steps(self) -> Iterator[int]:
        criterion = nn.CrossEntropyLoss()
        for pictures, labels in islice(self.train, self.steps):
            self.optimizer.zero_grad()
            criterion(self.model(pictures), labels).backward()
            self.optimizer.step()
            yield len(labels)


class Hand:
    """The loop of somebody who knows this machine: nothing that is not needed."""

    def __init__(self, model: nn.Module, batches: Batches, spec: Spec, steps: int) -> None:
        last = spec.layout == "channels_last"
        self.layout = torch.channels_last if last else torch.contiguous_format
        self.model = model.train().to(memory_format=self.layout)
        self.bf16 = spec.precision == "bf16"
        self.steps = steps
        fit = batches.roles.fit
        pairs = [batches.examples.get(index) for index in fit]
        self.x_NCHW = torch.stack([x_CHW for x_CHW, _ in pairs])
        self.labels_N = torch.tensor([label for _, label in pairs])
        mean_C11, std_C11 = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
        self.shift_C11, self.scale_C11 = mean_C11 * 255, 1 / (std_C11 * 255)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=spec.lr, fused=True)

    def __call__(self) -> Speed:
        return timed(self._steps())

    def _steps(self) -> Iterator[int]:
        for at_N in torch.randperm(len(self.labels_N)).split(BATCH)[: self.steps]:
            x_NCHW = self.x_NCHW[at_N]
            if torch.rand(()) < 0.5:
                x_NCHW = x_NCHW.flip(-1)
            x_NCHW = x_NCHW.to(torch.float32, memory_format=self.layout)
            x_NCHW = x_NCHW.sub_(self.shift_C11).mul_(self.scale_C11)
            self.optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                output = self.model(x_NCHW)
            cross_entropy(output.float(), self.labels_N[at_N]).backward()
            self.optimizer.step()
            yield len(at_N)


class Own:
    """A run of netgraft up to its first step, without its process."""

    def __init__(
        self, name: str, side: int, folder: Path, scratch: Path, *, form: str = "",
        group: Group | None = None,
    ) -> None:  # fmt: skip
        self.group = group or Group(0, 1, CPU)
        self.scratch = scratch
        self.store = Store(str(scratch / "store"), f"sqlite:///{scratch / 'test.db'}")
        manifest = open_data(str(folder))
        home = Path(torch.hub.get_dir()) / "checkpoints"
        weights = "" if list(home.glob(f"{name}-*.pth")) else "@none"
        request = surgery_pb2.RetargetModelRequest(
            model=f"{name}{weights}", classes=len(manifest.class_names)
        )
        self.recipe = get_recipe(
            self.store, SurgeryServicer(self.store).RetargetModel(request).model.id
        )
        asked = Request(
            self.recipe.id, str(folder), strategy="full", image_size=side, batch_size=BATCH,
            workers=self.group.workers, seed=0,
        )  # fmt: skip
        spec = planning.plan(asked, Capacity(2, 0), self.store).spec
        data = Data(manifest, pixels=Reading(manifest, side).finish().pixels)
        self.batches = Batches(spec, self.recipe, TASK, self.group, data)
        module, self.heads = module_for(spec, self.recipe, self.store)
        chosen = Form(*form.split()) if form else self._fastest(module, side)
        self.spec = replace(spec, precision=chosen.precision, layout=chosen.layout)
        self.form = str(chosen)
        self.learner = learner_for(self.spec, module, self.heads, TASK, 10_000, self.group)
        self.name, self.side = name, side

    def _fastest(self, module: nn.Module, side: int) -> Form:
        module.train()
        batch = next(self.batches.to_train(0, 0))
        outsized = pilot.outsized(module, batch[0][:2])

        def seconds(form: Form) -> float:
            return pilot.step_seconds(module, TASK, nn.CrossEntropyLoss(), batch, CPU, form)

        times = pilot.measure(pilot.forms(CPU, bf16=not outsized), seconds, steps=1000)
        say(f"{self.recipe.base.name}, {side} px: " + str({str(f): t for f, t in times.items()}))
        return pilot.fastest(times)

    def run(self, steps: int) -> Run:
        return lambda: timed(self._steps(steps))

    def _steps(self, steps: int) -> Iterator[int]:
        epoch = self.learner.steps // steps
        for batch in islice(self.batches.to_train(epoch, 0), steps):
            self.learner.step(batch, self.group.rank)
            yield len(batch[1]) * self.group.workers


def forward(plain: nn.Module, own: Own, steps: int) -> Run:
    """The tutorial's forward pass."""
    return on_batches(torch.no_grad()(plain), own, steps)


def features(plain: nn.Module, own: Own, steps: int) -> Run:
    """The probe's."""
    first = next(own.batches.to_settle())[0]
    made = extractor(plain, own.heads[0], first, device=CPU)
    assert isinstance(made, Extractor)
    say(f"features: {made.form}")
    return on_batches(made, own, steps)


def on_batches(run: Callable[[Tensor], Any], own: Own, steps: int) -> Run:
    batches = [x_NCHW for x_NCHW, _ in islice(own.batches.to_settle(), steps)]
    return lambda: timed(len(x_NCHW) for x_NCHW in batches if run(x_NCHW) is not None)


class Ranks:
    """Ranks of one thread each, in processes that wait between rounds."""

    def __init__(self, workers: int, own: Own, folder: Path, steps: int) -> None:
        self.workers = workers
        self.asked = (own.name, own.side, folder, own.form, steps)
        self.scratch = own.scratch
        self.pipes: list[Any] = []
        self.processes: list[Any] = []

    def __enter__(self) -> "Ranks":
        context = get_context("spawn")
        meeting = str(self.scratch / f"{self.workers}-meeting")
        for rank in range(self.workers):
            here, there = context.Pipe()
            place = self.scratch / f"{self.workers}-{rank}"
            place.mkdir()
            args = (rank, self.workers, meeting, place, there, self.asked)
            process = context.Process(target=rank_process, args=args)
            process.start()
            self.pipes.append(here)
            self.processes.append(process)
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self.pipes:
            pipe.send("end")
        for process in self.processes:
            process.join()

    def __call__(self) -> Speed:
        for pipe in self.pipes:
            pipe.send("go")
        found = [pipe.recv() for pipe in self.pipes]
        return min(wall for wall, _ in found), min(cpu for _, cpu in found) / self.workers


def rank_process(
    rank: int, workers: int, meeting: str, place: Path, there: Any, asked: tuple[Any, ...]
) -> None:
    """A rank: does a round of steps whenever it is told to."""
    name, side, folder, form, steps = asked
    torch.set_num_threads(1)
    if workers > 1:
        distributed.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=rank, world_size=workers,
            timeout=timedelta(minutes=10),
        )  # fmt: skip
    own = Own(name, side, folder, place, form=form, group=Group(rank, workers, CPU))
    run = own.run(steps)
    while there.recv() == "go":
        there.send(run())
    if workers > 1:
        distributed.destroy_process_group()


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
