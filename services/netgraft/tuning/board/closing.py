"""What TensorBoard shows of a job that has ended: settings, figures, pictures, card and graph.

Written once, after the job has its result: nothing waits for it.
"""

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from netgraft import private
from netgraft.errors import NetgraftError
from netgraft.models.answers import answering
from netgraft.models.build import build
from netgraft.models.export.card import markdown
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.store.store import Store
from netgraft.tuning.board.graph import graph
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.results import tensorboard
from netgraft.tuning.results.shown import heldout
from netgraft.tuning.results.shown.pictures import pictures_of
from netgraft.tuning.results.varied import varied_sheet

logger = logging.getLogger(__name__)

SUFFIX = ".closing"
MOST_MISTAKES = 12
MOST_CLASSES = 200
CONFUSION_SIDE = 400
"""Pixels of the confusion's picture, about."""
Part = Callable[[Any, Job, Recipe, Store], None]
FAULTS = (NetgraftError, OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError)
"""A picture may be gone, and a model of another task may not take a picture."""
HIDDEN = ("model", "fingerprint", "options")
"""Settings that are no numbers to compare runs by."""


def write(job: Job, store: Store) -> None:
    """Write what is there; what cannot be written is left out, and the log says so."""
    from torch.utils.tensorboard.writer import SummaryWriter

    try:
        recipe = get_recipe(store, job.result_model)
        place = private.make_folder(tensorboard.folder(job.id))
        with SummaryWriter(str(place), filename_suffix=SUFFIX) as writer:
            for part in (_settings, _pictures, _card, _graph):
                _written(part, writer, job, recipe, store)
        private.close_all(place)
    except (NetgraftError, OSError) as error:
        logger.warning("TensorBoard lacks the end of %s: %s", job.id, error)


def _written(part: Part, writer: Any, job: Job, recipe: Recipe, store: Store) -> None:
    try:
        part(writer, job, recipe, store)
    except FAULTS as error:
        logger.warning("TensorBoard lacks a part of %s: %s", job.id, error)


def _settings(writer: Any, job: Job, recipe: Recipe, store: Store) -> None:
    from torch.utils.tensorboard import summary

    plain = job.spec.plain().items()
    settings = {
        name: value
        for name, value in plain
        if name not in HIDDEN and isinstance(value, bool | int | float | str) and value != ""
    }
    settings["data"] = str(settings.get("data", "")).rpartition("/")[2]
    figures = {f"held_out/{name}": value for name, value in job.metrics.items()}
    described: Any = summary.hparams
    for each in described(settings, figures):
        writer.file_writer.add_summary(each)
    for name, value in figures.items():
        writer.add_scalar(name, value, 0)


def _pictures(writer: Any, job: Job, recipe: Recipe, store: Store) -> None:
    if sheet := varied_sheet(store, job.id):
        writer.add_image("training pictures/varied", _opened(sheet), dataformats="HWC")
    found = heldout.kept(store, recipe.id)
    if found is None:
        return
    if len(found.class_names) <= MOST_CLASSES:
        title = "held_out/confusion (a row is the class, a column what was said)"
        writer.add_image(title, _confusion(found), dataformats="HWC")
    for number, (caption, picture) in enumerate(_mistakes(job, found, store), 1):
        writer.add_image(f"mistakes/{number:02d} {caption}", picture, dataformats="HWC")


def _mistakes(
    job: Job, found: heldout.HeldOut, store: Store
) -> Iterator[tuple[str, "np.ndarray[Any, Any]"]]:
    wrong = found.mistakes(MOST_MISTAKES)
    pictures = pictures_of(job, store) if wrong else None
    for each in wrong:
        assert pictures is not None
        caption = f"{each.truth} taken for {each.said} ({each.probability:.0%}) {each.file}"
        yield caption, _opened(pictures.small(each.file))


def _opened(encoded: bytes) -> "np.ndarray[Any, Any]":
    """A picture of our own as height × width × 3."""
    with Image.open(io.BytesIO(encoded)) as opened:
        return np.asarray(opened.convert("RGB"))


def _confusion(found: heldout.HeldOut) -> Any:
    """Squares from white to teal (right) and red (wrong), by the share of their row."""
    size = len(found.class_names)
    taken_KK = np.array(found.confusion(), dtype=float).reshape(size, size)
    shares_KK = taken_KK / np.maximum(1, taken_KK.sum(1, keepdims=True))
    right, wrong, white = np.array([15, 118, 110]), np.array([185, 28, 28]), np.array([255] * 3)
    colour_KK3 = np.where(np.eye(size, dtype=bool)[:, :, None], right, wrong)
    mixed_KK3 = white + (colour_KK3 - white) * shares_KK[:, :, None] ** 0.5
    each = max(1, CONFUSION_SIDE // size)
    return mixed_KK3.astype(np.uint8).repeat(each, 0).repeat(each, 1)


def _card(writer: Any, job: Job, recipe: Recipe, store: Store) -> None:
    writer.add_text("card", markdown(recipe, store))


def _graph(writer: Any, job: Job, recipe: Recipe, store: Store) -> None:
    from tensorboard.compat.proto.event_pb2 import Event

    side = answering(recipe).side
    drawn = graph(build(recipe, store, device="meta"), (1, 3, side, side))
    writer.file_writer.add_event(Event(graph_def=drawn.SerializeToString()))
