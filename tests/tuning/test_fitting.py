"""A model's head and the data's classes: made to fit, matched by name, or refused."""

from pathlib import Path

import pytest
import torch

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import HeadMismatch, OtherClasses
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.store.store import Store
from netgraft.surgery.retarget import retarget
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.run import run
from netgraft.v1 import surgery_pb2

TINY = "timm/test_resnet@none"
DIGITS = tuple("0123456789")
QUICK = {"epochs": 1, "image_size": 16, "batch_size": 64, "workers": 1, "precision": "fp32"}


@pytest.fixture(autouse=True)
def one_thread(state: Path) -> None:
    torch.set_num_threads(1)


def planned(store: Store, model: str, **said: object) -> planning.ResolvedSpec:
    def graft(recipe: Recipe, names: tuple[str, ...]) -> Recipe:
        return retarget(recipe, 0, names, Anatomies(store)).recipe

    request = Request(model, "digits", **(QUICK | said))
    return planning.plan(request, Capacity(2, 0), store, graft)


def named(store: Store, *names: str) -> str:
    request = surgery_pb2.RetargetModelRequest(model=TINY, class_names=names)
    return SurgeryServicer(store).RetargetModel(request).model.id


def test_a_model_that_nobody_retargeted_gets_a_head_for_the_datas_classes(store: Store) -> None:
    resolved = planned(store, TINY)
    assert get_recipe(store, resolved.spec.model).class_names == DIGITS
    assert resolved.spec.model == named(store, *DIGITS)
    assert "head 10 classes, 0, 1, 2, 3, 4, …" in str(resolved.assumptions[0])


def test_a_head_that_somebody_made_for_other_classes_is_refused(store: Store) -> None:
    with pytest.raises(HeadMismatch, match="netgraft retarget"):
        planned(store, named(store, "a", "b"))
    with pytest.raises(OtherClasses):
        planned(store, named(store, *"abcdefghij"))


def test_the_same_names_in_another_order_are_matched_by_name(store: Store) -> None:
    backwards = named(store, *reversed(DIGITS))
    resolved = planned(store, backwards, epochs=4, image_size=32, lr=0.004, strategy="full")
    assert resolved.spec.model == backwards
    job = Jobs(store).create(resolved)
    run(job.id, Group(0, 1, torch.device("cpu")), store)
    done = Jobs(store).get(job.id)
    assert done.metrics["accuracy"] > 0.6
    tuned = get_recipe(store, done.result_model)
    assert tuned.class_names == tuple(reversed(DIGITS))


def test_what_was_matched_by_name_evaluates_to_the_reported_figure(store: Store) -> None:
    from netgraft.tuning.results.evaluate import evaluate

    resolved = planned(store, named(store, *reversed(DIGITS)), strategy="full")
    job = Jobs(store).create(resolved)
    run(job.id, Group(0, 1, torch.device("cpu")), store)
    done = Jobs(store).get(job.id)
    *_, last = evaluate(get_recipe(store, done.result_model), "", "held_out", store)
    assert last.evaluation is not None
    assert last.evaluation.counts.metrics["accuracy"] == done.metrics["accuracy"]
