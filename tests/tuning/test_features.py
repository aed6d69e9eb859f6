"""A head that starts from class means answers well before it has learned anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from netgraft.errors import InvalidValue, NetgraftError, NotPossible, UnknownModule
from netgraft.models import bases
from netgraft.models.build import build
from netgraft.models.recipes import get_recipe
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.data.kinds import open_data
from netgraft.tuning.data.loading import Normaliser, load, measured_order
from netgraft.tuning.data.pixels import PictureExamples
from netgraft.tuning.servicer import TuningServicer
from netgraft.tuning.tasks.classification import TASK
from netgraft.v1 import surgery_pb2, tuning_pb2

LEARNED = "mobilenet_v2@IMAGENET1K_V1"


@pytest.fixture
def store(
    tmp_path: Path, torch_home_with_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    monkeypatch.setenv("TORCH_HOME", str(torch_home_with_weights))
    settings.cache_clear()
    store = Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")
    yield store
    store.engine.dispose()
    settings.cache_clear()


def measured(store: Store, **said: Any) -> list[tuning_pb2.FeatureMeans]:
    values = {"model": LEARNED, "layer": "classifier.1", "data": "digits"} | said
    request = tuning_pb2.MeanFeaturesRequest(**values)
    return list(TuningServicer(store).MeanFeatures(request))


def retargeted(store: Store, found: tuning_pb2.FeatureMeans, **said: Any) -> Any:
    names = list(found.class_names)
    values = {"class_names": names, "init": "class_means", "means": found.means} | said
    request = surgery_pb2.RetargetModelRequest(model=LEARNED, **values)
    return SurgeryServicer(store).RetargetModel(request)


def accuracy(store: Store, model: str) -> float:
    """On pictures that were not used for the means."""
    recipe = get_recipe(store, model)
    module, preprocessing = build(recipe, store).eval(), bases.preprocessing(recipe.base)
    data = open_data("digits")
    examples = PictureExamples(data, "held_out", data.side or preprocessing.size)
    normalise = Normaliser(preprocessing.mean, preprocessing.std, torch.device("cpu"))
    order = measured_order(min(200, len(examples)), 50, 0, 1)
    right = 0
    with torch.no_grad():
        for x_NCHW, labels_N in normalise(load(examples, order, TASK.collate, seed=None)):
            right += int((module(x_NCHW).argmax(1) == labels_N).sum())
    return right / min(200, len(examples))


def test_the_first_answers_are_far_above_chance(store: Store) -> None:
    progress = measured(store, most_examples=400)
    assert [each.done for each in progress] == sorted(each.done for each in progress)
    means = progress[-1]
    assert (means.done, means.total, len(means.class_names)) == (400, 400, 10)
    reply = retargeted(store, means)
    assert reply.heads[0].after == 10
    assert not reply.kept_classes
    request = surgery_pb2.RetargetModelRequest(model=LEARNED, classes=10)
    fresh = SurgeryServicer(store).RetargetModel(request)
    assert accuracy(store, fresh.model.id) < 0.3
    assert accuracy(store, reply.model.id) > 0.5
    again = retargeted(store, measured(store, most_examples=400)[-1])
    assert again.model.id == reply.model.id


def test_data_are_read_as_the_options_say(store: Store) -> None:
    with pytest.raises(InvalidValue, match="val_share"):
        measured(store, options=tuning_pb2.DataOptions(val_share=0.9))


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"layer": "classifier.7"}, UnknownModule),
        ({"layer": ""}, InvalidValue),
        ({"most_examples": -1}, InvalidValue),
        ({"most_examples": 10**6}, InvalidValue),
        ({"model": "fcn_resnet50@none"}, NotPossible),
    ],
)
def test_what_cannot_be_measured_is_refused(
    said: dict[str, Any], error: type[NetgraftError], store: Store
) -> None:
    with pytest.raises(error):
        measured(store, **said)


@pytest.mark.parametrize(
    "said",
    [
        {"means": ""},
        {"means": "../../etc/passwd"},
        {"means": "0" * 64},
        {"class_names": [], "classes": 9},
        {"init": "zeros"},
        {"class_map": {"0": "tabby"}},
    ],
)
def test_means_that_do_not_fit_are_refused(said: dict[str, Any], store: Store) -> None:
    means = measured(store, most_examples=100)[-1]
    before = store.names("tensors")
    with pytest.raises(InvalidValue):
        retargeted(store, means, **said)
    assert store.names("tensors") == before
