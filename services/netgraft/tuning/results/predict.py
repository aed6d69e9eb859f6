"""Predicting pictures: which classes a model sees in them."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from netgraft.errors import InvalidData, NetgraftError
from netgraft.language import Message
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.tuning.results.asking import Asker
from netgraft.tuning.results.pictures import Picture, square
from netgraft.tuning.results.subject import Subject, subject_of
from netgraft.tuning.results.thumbnail import thumbnail

if TYPE_CHECKING:
    from torch import Tensor

USUAL_TOP = 5


@dataclass(frozen=True)
class Likely:
    """A class and its probability."""

    name: str
    index: int
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The classes that a model sees in a picture, or why that cannot be said."""

    name: str
    classes: tuple[Likely, ...] = ()
    """The most likely first."""
    error: Message | None = None
    """A sentence."""
    small: bytes = b""
    """A small JPEG of it, where that was asked for."""


@dataclass(frozen=True)
class _Read:
    picture: Picture
    pixels: "Tensor | None" = None
    """x_CHW."""
    small: bytes = b""
    error: Message | None = None


def predict(
    recipe: Recipe,
    pictures: Sequence[Picture],
    store: Store,
    *,
    top: int = USUAL_TOP,
    thumbnails: int = 0,
) -> Iterator[Prediction]:
    """Predict pictures, in their order; the first `thumbnails` of them come with a small picture.

    A picture that cannot be read has its error in its place. Raises NotPossible,
    WeightsUnavailable and TooLarge.
    """
    subject = subject_of(recipe, store)
    asker, top = subject.asker(), top or USUAL_TOP
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode") as threads:
        # A batch ahead is decoded while another is computed.
        waiting: list[_Read] = []
        for start in range(0, len(pictures), asker.together):
            part = list(enumerate(pictures[start : start + asker.together], start))
            coming = threads.map(partial(_read, asker, thumbnails), part)
            yield from _answered(subject, asker, waiting, top)
            waiting = list(coming)
        yield from _answered(subject, asker, waiting, top)


def _read(asker: Asker, thumbnails: int, numbered: tuple[int, Picture]) -> _Read:
    number, picture = numbered
    try:
        decoded = picture.decoded(asker.answering)
    except NetgraftError as error:
        return _Read(picture, error=_sentence(error))
    small = thumbnail(decoded) if number < thumbnails else b""
    return _Read(picture, square(decoded, asker.answering), small)


def _sentence(error: NetgraftError) -> Message:
    """Say what is wrong with a picture, without "the data set cannot be trained on"."""
    problem = error.values.get("problem") if type(error) is InvalidData else None
    return problem if isinstance(problem, Message) else error.message


def _answered(
    subject: Subject, asker: Asker, read: Sequence[_Read], top: int
) -> Iterator[Prediction]:
    squares = [each.pixels for each in read if each.pixels is not None]
    rows = iter(asker.probabilities(asker.logits(torch.stack(squares))) if squares else ())
    for each in read:
        if each.error:
            yield Prediction(each.picture.name, error=each.error)
            continue
        best = next(rows).topk(min(top, subject.classes))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        likely = tuple(Likely(subject.class_name(index), index, share) for index, share in pairs)
        yield Prediction(each.picture.name, likely, small=each.small)
