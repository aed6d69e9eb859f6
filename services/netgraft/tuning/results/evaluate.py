"""Evaluating a model on a part of a data set."""

import heapq
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import torch

from netgraft.errors import CannotMeasure, InvalidData, InvalidValue, NotPossible
from netgraft.language import Message
from netgraft.models.answers import answering
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.tuning.data import Examples, Manifest, Options, open_data
from netgraft.tuning.data.loading import load, measured_order
from netgraft.tuning.data.manifest import PARTS, Part
from netgraft.tuning.data.pixels import PictureExamples, Pixels
from netgraft.tuning.jobs.classes import matched, shortest
from netgraft.tuning.results import record
from netgraft.tuning.results.asking import Asker
from netgraft.tuning.results.figures import Counts
from netgraft.tuning.results.subject import subject_of
from netgraft.tuning.tasks.classification import TASK

T = TypeVar("T")
MOST_MISTAKES = 50
ALL = "all"


@dataclass(frozen=True, order=True)
class Mistake:
    """A picture whose class was named wrong; those of which the model was surer are greater."""

    probability: float
    file: str
    truth: str
    said: str


@dataclass(frozen=True)
class Evaluation:
    """The figures of a model on a part of a data set. Classes are in the data's order."""

    model: str
    data: str
    part: str
    class_names: tuple[str, ...]
    counts: Counts
    without_leaks: Counts
    """Those of the pictures of which no copy was trained on."""
    mistakes: tuple[Mistake, ...]
    """The worst first."""


@dataclass(frozen=True)
class Measuring:
    """The progress of an evaluation, and at its end the result."""

    done: int
    total: int
    evaluation: Evaluation | None = None


def evaluate(
    recipe: Recipe, data: str, part: str, store: Store, options: Options | None = None
) -> Iterator[Measuring]:
    """Measure a model. `data` is "" for what it was tuned on, `part` is "" for what is held out.

    Raises NotPossible, HeadMismatch, OtherClasses, InvalidValue, DataNotFound, OutsideDataRoots,
    CannotMeasure, InvalidData and WeightsUnavailable.
    """
    part = part or "held_out"
    if part not in (*PARTS, ALL):
        expected = Message("one of {choices}", choices=[*PARTS, ALL])
        raise InvalidValue(name="part", value=repr(part), expected=expected)
    subject = subject_of(recipe, store)
    given = data_of(recipe, data, options, store)
    manifest = given.manifest
    indices = indices_of(manifest, part)
    output_of = matched(recipe, subject.classes, manifest)
    asker = subject.asker()
    yield Measuring(0, len(indices))
    side, short = asker.answering.side, asker.answering.resize
    pixels = Pixels(manifest, side, 0, short=short)  # each is asked about once
    examples = PictureExamples(manifest, indices, side, pixels)
    leaked = {at for at, index in enumerate(indices) if manifest.names[index] in given.leaked}
    counts, worst = Counted(subject.classes, leaked), _Worst(manifest, output_of)
    done = 0
    for order, logits_NK, labels_N in _measured(answers_to(asker, examples, output_of)):
        counts.add(order, logits_NK, labels_N, asker.answering.temperature)
        worst.add([indices[at] for at in order], asker.probabilities(logits_NK), labels_N)
        done += len(order)
        yield Measuring(done, len(indices))
    found = Evaluation(
        recipe.id,
        manifest.reference,
        part,
        manifest.class_names,
        counts.all.ordered(output_of),
        counts.without_leaks.ordered(output_of),
        worst.sorted(),
    )
    yield Measuring(done, len(indices), found)


def _measured(answers: Iterator[T]) -> Iterator[T]:
    """Yield answers; a picture that cannot be read is an error of measuring, not of training."""
    try:
        yield from answers
    except InvalidData as error:
        if type(error) is not InvalidData:
            raise
        raise CannotMeasure(**error.values) from error


class Counted:
    """Counts of all answers, and of those to pictures of which no copy was trained on."""

    def __init__(self, classes: int, leaked: Collection[int] = ()) -> None:
        """`leaked`: the places of the others among the examples."""
        self.classes = classes
        self.leaked = frozenset(leaked)
        self.all = Counts(classes)
        self.without_leaks = Counts(classes) if leaked else self.all

    def add(
        self, order: Sequence[int], logits_NK: torch.Tensor, labels_N: torch.Tensor,
        temperature: float,
    ) -> None:  # fmt: skip
        """Count the answers to a batch of the examples at the places in `order`."""
        self.all.add(logits_NK, labels_N, temperature)
        if self.leaked:
            kept = [row for row, at in enumerate(order) if at not in self.leaked]
            self.without_leaks.add(logits_NK[kept], labels_N[kept], temperature)

    def over(self, total: Callable[[Sequence[float]], list[float]]) -> None:
        """Take the sums over all ranks, which `total` makes."""
        self.all.replace(total(self.all.sums()))
        if self.leaked:
            self.without_leaks.replace(total(self.without_leaks.sums()))

    @property
    def metrics(self) -> dict[str, float]:
        """The figures by name, as a job has them."""
        if not self.leaked:
            return self.all.metrics
        fair = self.without_leaks.by_class
        low, high = fair.interval
        return self.all.metrics | {
            "leaked": 1 - fair.examples / max(1, self.all.examples),
            "accuracy_without_leaks": fair.accuracy,
            "accuracy_without_leaks_low": low,
            "accuracy_without_leaks_high": high,
        }


def measure(
    asker: Asker,
    examples: Examples,
    counts: Counted,
    *,
    rank: int = 0,
    ranks: int = 1,
    total: Callable[[Sequence[float]], list[float]] = list,
    each: Callable[[list[int], list[int], list[float]], None] | None = None,
) -> Counted:
    """Count a model's answers to examples, over all ranks; `total` sums values over these.

    A run states its figures by this, so that they are those of `evaluate` and `predict`. `each`
    gets this rank's answers, too: which examples, what is named and how surely.
    """
    output_of = tuple(range(counts.classes))
    for order, logits_NK, labels_N in answers_to(asker, examples, output_of, rank, ranks):
        counts.add(order, logits_NK, labels_N, asker.answering.temperature)
        if each:
            said_N = logits_NK.argmax(1)
            sure_N = asker.probabilities(logits_NK).gather(1, said_N[:, None])[:, 0]
            each(order, said_N.tolist(), sure_N.tolist())
    counts.over(total)
    return counts


def answers_to(
    asker: Asker, examples: Examples, output_of: Sequence[int], rank: int = 0, ranks: int = 1
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """A rank's examples, batch by batch: which, their logits_NK and their labels_N as outputs."""
    order = measured_order(len(examples), asker.together, rank, ranks)
    threads = max(1, (os.cpu_count() or 1) // ranks)
    outputs = torch.tensor(output_of)
    batches = load(examples, order, TASK.collate, seed=None, threads=threads)
    for indices, (x_NCHW, labels_N) in zip(order, batches, strict=True):
        yield indices, asker.logits(x_NCHW), outputs[labels_N]


@dataclass(frozen=True)
class Given:
    """The data to measure on."""

    manifest: Manifest
    leaked: frozenset[str] = frozenset()
    """Names of pictures of which copies were trained on."""


def data_of(recipe: Recipe, data: str, options: Options | None, store: Store) -> Given:
    """The data to measure on, with the parts that a tuning on them had, if it made them.

    Raises NotPossible where none are given and the model was not tuned.
    """
    known = record.recorded(store, answering(recipe).split)
    if not data.strip():
        if known is None:
            problem = Message(
                "{model} was not tuned here, so nothing says what to measure it on. Name the data: "
                "`netgraft evaluate {model} --data DATA`.",
                model=shortest(recipe),
            )
            raise NotPossible(problem=problem)
        opened = open_data(known.data, known.read())
        return Given(known.applied(opened), frozenset(known.leaked))
    manifest = open_data(data, options)
    same = known is not None and known.data == manifest.reference and options in (None, Options())
    if known is None or not same:
        return Given(manifest)
    return Given(known.applied(manifest), frozenset(known.leaked))


def indices_of(manifest: Manifest, part: str) -> list[int]:
    """The pictures of a part, or of all. Raises NotPossible where it has none."""
    if part == ALL:
        return list(range(len(manifest.names)))
    if found := manifest.indices(cast("Part", part)):
        return found
    sizes = ", ".join(f"{each} {manifest.size(each)}" for each in PARTS if manifest.size(each))
    problem = Message(
        "{data} has no pictures in {part}; it has: {sizes}.",
        data=manifest.reference,
        part=part,
        sizes=sizes,
    )
    raise NotPossible(problem=problem)


class _Worst:
    """The mistakes of which the model was surest."""

    def __init__(self, manifest: Manifest, output_of: Sequence[int]) -> None:
        self.manifest = manifest
        names = zip(output_of, manifest.class_names, strict=True)
        self.named = dict(names)
        self._heap: list[Mistake] = []

    def add(self, pictures: Sequence[int], shares_NK: torch.Tensor, labels_N: torch.Tensor) -> None:
        sure_N, said_N = shares_NK.max(1)
        rows = zip(pictures, sure_N.tolist(), said_N.tolist(), labels_N.tolist(), strict=True)
        for picture, sure, said, truth in rows:
            if said == truth:
                continue
            file = self.manifest.names[picture]
            heapq.heappush(self._heap, Mistake(sure, file, self.named[truth], self.named[said]))
            if len(self._heap) > MOST_MISTAKES:
                heapq.heappop(self._heap)

    def sorted(self) -> tuple[Mistake, ...]:
        return tuple(sorted(self._heap, reverse=True))
