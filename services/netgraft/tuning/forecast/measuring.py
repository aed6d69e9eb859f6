"""A pilot on some of the pictures of a run: how long they take to read, to run and to learn from.

Nothing is trained, and no model is stored: gradients are computed and thrown away. Where the
weights are on this machine, the features also tell how well the classes lie apart. What was
measured is kept, so that the run that follows is forecast by it, too.

Shapes: N pictures, F features, K classes, C channels, H and W pixels.
"""

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from netgraft.models import bases
from netgraft.models.build import build
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.store.memo import Memo
from netgraft.store.store import Store
from netgraft.tuning.data.held_back import roles
from netgraft.tuning.data.kept import kept_or_read
from netgraft.tuning.data.loading import Normaliser
from netgraft.tuning.data.manifest import Manifest
from netgraft.tuning.data.pixels import PictureExamples
from netgraft.tuning.data.reading import Reading
from netgraft.tuning.forecast.machine import machine
from netgraft.tuning.forecast.speeds import Measured
from netgraft.tuning.forecast.work import Work
from netgraft.tuning.jobs.heads import head_paths
from netgraft.tuning.jobs.spec import Spec
from netgraft.tuning.results.asking import together
from netgraft.tuning.tasks.registry import task_for
from netgraft.tuning.tasks.task import Task
from netgraft.tuning.train import pilot
from netgraft.tuning.train.features import Extractor, batch_size, extractor
from netgraft.tuning.train.pilot import Form
from netgraft.tuning.train.precision import autocast

PICTURES = 192
"""Pictures that are read, at most."""
FIRST = 8
"""Pictures that are read before the clock starts: codecs are loaded with the first."""
READ_SECONDS, FORWARD_SECONDS, STEP_SECONDS = 1.5, 2.0, 2.0
"""Seconds after which no more is read, run or learned from."""
PIXELS = 8 * 224 * 224
"""Pixels of a batch in which number formats are compared."""
FEWEST = 8
"""Pictures of such a batch, at least."""
REPEATED = 7
"""Batches that a model is asked about; the median counts."""
COMPARED = 4
"""Pictures of each class that there must be to compare them with each other's means."""
STAGES = 4


@dataclass(frozen=True)
class Measuring:
    """The progress of a pilot, and at its end what was measured."""

    done: int
    measured: Measured | None = None


def measure(spec: Spec, work: Work, store: Store) -> Iterator[Measuring]:
    """Measure what a run of a resolved spec is made of; `measured_before` then has it.

    Raises DataNotFound, OutsideDataRoots, InvalidData and NotPossible.
    """
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(spec.threads or threads)
        for found in _Pilot(spec, work, store).carried_out():
            if found.measured:
                MEASURED.put(store, _key(spec), found.measured)
            yield found
    finally:
        torch.set_num_threads(threads)


def measured_before(spec: Spec, store: Store) -> Measured | None:
    """Return what a pilot has measured for such a run, if there was one."""
    return MEASURED.find(store, _key(spec))


def _key(spec: Spec) -> str:
    names = ("model", "fingerprint", "image_size", "batch_size", "device", "workers", "precision",
             "threads", "strategy", "optimizer", "accumulate")  # fmt: skip
    said = [machine(), torch.__version__, *(str(getattr(spec, name)) for name in names)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _from_json(data: bytes) -> Measured:
    return Measured(**json.loads(data))


MEASURED = Memo(
    "pilots",
    "json",
    "1",
    lambda found: json.dumps(asdict(found)).encode(),
    _from_json,
    most_bytes=2**22,
)


class _Pilot:
    """The pilot of one run."""

    def __init__(self, spec: Spec, work: Work, store: Store) -> None:
        self.spec, self.work, self.store = spec, work, store
        self.recipe: Recipe = get_recipe(store, spec.model)
        self.task: Task = task_for(bases.task(self.recipe.base), self.recipe.base.name)
        self.data: Manifest = kept_or_read(spec.fingerprint, spec.data, spec.options, store)
        gpu = spec.device == "gpu" and torch.cuda.is_available()
        self.device = torch.device("cuda", 0) if gpu else torch.device("cpu")

    def carried_out(self) -> Iterator[Measuring]:
        """Measure, one piece after the other."""
        seconds: dict[str, float] = {}
        reading, seconds["read"] = self._read()
        yield Measuring(1)
        examples = PictureExamples(self.data, reading.sound, self.spec.image_size, reading.pixels)
        x_NCHW, labels_N = self._batch(examples)
        has_weights = bases.on_disk(self.recipe.base)
        module: nn.Module = build(self.recipe, self.store, with_weights=has_weights)
        right, compared = 0, 0
        form = Form(self.spec.precision or "fp32", self.spec.layout or "channels_last")
        if self.work.probes and (found := self._forward(module, x_NCHW)):
            extract, seconds["forward"], features_NF = found
            form = replace(form, precision=extract.form.precision)
            if has_weights:
                right, compared = nearest_means(features_NF, labels_N[: len(features_NF)])
        yield Measuring(2)
        if self.work.trains:
            form, seconds["step"] = self._step(module, x_NCHW, labels_N)
        yield Measuring(3)
        seconds["ask"] = self._ask(module, x_NCHW, form)
        shared = self.work.workers if self.device.type == "cuda" else 1
        for piece in ("forward", "step", "ask"):
            if piece in seconds:
                seconds[piece] /= shared
        yield Measuring(STAGES, Measured(seconds, len(x_NCHW), right, compared))

    def _read(self) -> tuple[Reading, float]:
        """Read pictures until it has taken long enough; the seconds that each takes."""
        chosen = sample(self.data, PICTURES)
        first, rest = chosen[:FIRST], chosen[FIRST:]
        side = self.spec.image_size
        warm = Reading(self.data, side, indices=first)
        warm.finish()
        warm.must_be_sound()
        reading = Reading(self.data, side, indices=rest)
        start, done = time.perf_counter(), 0
        for count in reading.read():
            done = count
            if time.perf_counter() - start > READ_SECONDS:
                break
        taken = time.perf_counter() - start
        if not done:  # there are no more than the first
            return warm, READ_SECONDS / PICTURES
        reading.indices = rest[:done]
        reading.must_be_sound()
        return reading, taken / done

    def _batch(self, examples: PictureExamples) -> tuple[Tensor, Tensor]:
        """x_NCHW, normalised on the device, and labels_N of all examples."""
        expected = bases.preprocessing(self.recipe.base)
        normalise = Normaliser(expected.mean, expected.std, self.device)
        pairs = [examples.get(index) for index in range(len(examples))]
        x_NCHW = torch.stack([picture for picture, _ in pairs])
        return normalise.normalised(x_NCHW), torch.tensor([label for _, label in pairs])

    def _forward(self, module: nn.Module, x_NCHW: Tensor) -> tuple[Extractor, float, Tensor] | None:
        """The form of features that is fastest, seconds a picture in it, and features_NF."""
        heads = head_paths(self.recipe, self.store)
        if len(heads) != 1:
            return None
        size = batch_size(self.spec.image_size)
        given = _filled(x_NCHW, size)
        made = extractor(module, heads[0], given, device=self.device, answer=self.task.answer)
        if not isinstance(made, Extractor):
            return None
        made(given)
        found, taken, done = [], 0.0, 0
        for part in torch.split(_filled(x_NCHW, max(size, len(x_NCHW))), size):
            one, features_NF = _timed(partial(made, part), self.device)
            found.append(features_NF)
            taken, done = taken + one, done + len(part)
            if taken > FORWARD_SECONDS:
                break
        features_NF = torch.cat(found)[: len(x_NCHW)].cpu()
        return made, taken / done, features_NF

    def _step(self, module: nn.Module, x_NCHW: Tensor, labels_N: Tensor) -> tuple[Form, float]:
        """The form of a step that is fastest, and the seconds of it for each picture."""
        spec = self.spec
        share = max(2, spec.batch_size // spec.accumulate)
        few = min(share, max(FEWEST, PIXELS // spec.image_size**2))
        forms = [Form(spec.precision, spec.layout or "channels_last")] if spec.precision else [
            form for form in pilot.forms(self.device) if form.layout == "channels_last"
        ]  # fmt: skip
        criterion = self.task.criterion(spec.loss).to(self.device)

        def seconds(form: Form, size: int) -> float:
            batch = _filled(x_NCHW, size), _filled(labels_N, size)
            taken = pilot.step_seconds(module, self.task, criterion, batch, self.device, form)
            return taken / size

        module.to(self.device).train()
        if len(forms) == 1:
            return forms[0], min(seconds(forms[0], share) for _ in range(1 + pilot.ROUNDS))
        steps = self.work.steps * self.work.epochs
        times = pilot.measure(forms, lambda form: seconds(form, few), steps=steps)
        best = min(times, key=lambda form: times[form])
        if few < share and times[best] * share < STEP_SECONDS:
            return best, min(seconds(best, share) for _ in range(2))
        return best, times[best]

    @torch.inference_mode()
    def _ask(self, module: nn.Module, x_NCHW: Tensor, form: Form) -> float:
        """Seconds for each picture that a model is measured on."""
        size = together(self.spec.image_size, self.device)
        module = module.to(self.device).to(memory_format=torch.channels_last).eval()
        given = _filled(x_NCHW, size).to(memory_format=torch.channels_last)

        def answer() -> Tensor:
            with autocast(self.device, form.precision):
                found: Tensor = self.task.answer(module(given)).float()
                return found

        answer()
        taken = [_timed(answer, self.device)[0] for _ in range(REPEATED)]
        return statistics.median(taken) / size


def sample(data: Manifest, most: int) -> list[int]:
    """Training pictures of all classes in turn, spread over each: the same ones every time."""
    own: dict[int, list[int]] = {}
    for index in roles(data).train:
        own.setdefault(data.labels[index], []).append(index)
    each = max(1, most // max(1, len(own)))
    spread = [_spread(indices, each) for indices in own.values()]
    rounds = (row[at] for at in range(each) for row in spread if at < len(row))
    return list(rounds)[:most]


def nearest_means(features_NF: Tensor, labels_N: Tensor) -> tuple[int, int]:
    """Count the pictures that lie nearest to the mean of the others of their class, and all.

    By the angle, with each picture left out of its own class's mean. (0, 0) where the classes have
    too few pictures to tell.
    """
    classes, own_N = torch.unique(labels_N, return_inverse=True)
    counts_K = torch.bincount(own_N)
    if len(classes) < 2 or len(labels_N) < COMPARED * len(classes):
        return 0, 0
    unit_NF = nn.functional.normalize(features_NF - features_NF.mean(0), dim=1)
    sums_KF = torch.zeros(len(classes), unit_NF.shape[1]).index_add_(0, own_N, unit_NF)
    to_all_NK = unit_NF @ nn.functional.normalize(sums_KF, dim=1).T
    others_NF = nn.functional.normalize(sums_KF[own_N] - unit_NF, dim=1)
    rows = torch.arange(len(own_N))
    to_all_NK[rows, own_N] = (unit_NF * others_NF).sum(1)
    counted = counts_K[own_N] > 1
    right = (to_all_NK.argmax(1) == own_N) & counted
    return int(right.sum()), int(counted.sum())


def _spread(indices: Sequence[int], count: int) -> list[int]:
    """So many of a list, evenly spread over it."""
    if len(indices) <= count:
        return list(indices)
    return [indices[at * len(indices) // count] for at in range(count)]


def _filled(values: Tensor, size: int) -> Tensor:
    """So many of the values, the first ones again where there are too few."""
    if len(values) >= size:
        return values[:size]
    return values.repeat(-(-size // len(values)), *[1] * (values.ndim - 1))[:size]


def _timed(work: Callable[[], Tensor], device: torch.device) -> tuple[float, Tensor]:
    start = time.perf_counter()
    found = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start, found
