"""What netgraft promises of each model, checked on one model that is built and traced once.

Everything runs on meta tensors. `tests/bench/coverage_heads.py` covers every name.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import pytest
import torch
from tests.contract.known import (
    CLASSES,
    COMPUTES_ITS_OWN_LOSS,
    COUNTS,
    COVERING,
    FROZEN,
    HEADS,
    HEADS_DEPEND_ON_WEIGHTS,
    MANY_COUNTS,
    MORE_COUNTS,
    TRAINED_HEADS,
    Known,
)
from tests.contract.sample import NAMES, TASKS, family, sample
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from netgraft.anatomy.anatomy import Anatomies, measure, traced
from netgraft.anatomy.heads import tensors_in
from netgraft.graph.servicer import GraphsServicer
from netgraft.models.bases import example_inputs
from netgraft.models.build import build
from netgraft.models.edits.freeze import Freeze
from netgraft.models.edits.retarget import Retarget
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.models.resolve import resolve
from netgraft.models.zoo.catalogue import entries
from netgraft.store.store import Store
from netgraft.surgery.retarget import retarget
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.surgery.symbolic import Foresight
from netgraft.tuning.jobs.heads import head_paths
from netgraft.v1 import graph_pb2, surgery_pb2

SAMPLE = tuple(sample())
EVERY_NAME = tuple(dict.fromkeys([*SAMPLE, *HEADS, *FROZEN, *MANY_COUNTS, *TRAINED_HEADS]))

REPEATS = tuple(name for name in EVERY_NAME if name not in COVERING)


class Model:
    """A name of the zoo with random weights, and the same for 7 classes."""

    def __init__(self, name: str, store: Store) -> None:
        self.name, self.store = name, store
        self.anatomies: Anatomies = Foresight(store)
        self.recipe = resolve(f"{name}@none", "pretrained", store).recipe

    @cached_property
    def edited(self) -> Recipe:
        return retarget(self.recipe, CLASSES, (), self.anatomies).recipe

    @cached_property
    def module(self) -> nn.Module:
        return build(self.edited, self.store, device="meta")


def edit_of(recipe: Recipe) -> Retarget:
    edit = recipe.edits[-1]
    assert isinstance(edit, Retarget)
    return edit


@pytest.mark.parametrize(
    "name", [*dict.fromkeys(COVERING), *(pytest.param(n, marks=pytest.mark.slow) for n in REPEATS)]
)
def test_every_promise_is_kept_for_one_model(name: str, store: Store) -> None:
    model = Model(name, store)
    if name in HEADS:
        heads_are_where_the_library_put_them_and_are_replaced(model)
    if name in TRAINED_HEADS:
        every_head_is_one_that_trains(model)
    if name in FROZEN:
        exactly_what_the_edits_did_differs(model)
    if name in SAMPLE:
        what_is_foretold_is_what_a_trace_shows(model, model.edited, model.module)
        its_heads_learn(model)
    if name in MANY_COUNTS:
        every_count_is_foretold(model, COUNTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", MANY_COUNTS)
def test_more_counts_are_foretold(name: str, store: Store) -> None:
    every_count_is_foretold(Model(name, store), MORE_COUNTS)


def every_count_is_foretold(model: Model, counts: Iterable[int]) -> None:
    for count in counts:
        edited = retarget(model.recipe, count, (), model.anatomies).recipe
        module = build(edited, model.store, device="meta")
        what_is_foretold_is_what_a_trace_shows(model, edited, module)


def heads_are_where_the_library_put_them_and_are_replaced(model: Model) -> None:
    edited = model.edited
    if model.name in HEADS_DEPEND_ON_WEIGHTS:
        recipe = resolve(model.name, "pretrained", model.store).recipe
        edited = retarget(recipe, CLASSES, (), model.anatomies).recipe
    found = [Known(h.path, h.in_features, h.before, h.after) for h in edit_of(edited).heads]
    assert found == HEADS[model.name]


def every_head_is_one_that_trains(model: Model) -> None:
    assert set(head_paths(model.recipe, model.store)) == TRAINED_HEADS[model.name]


def what_is_foretold_is_what_a_trace_shows(model: Model, edited: Recipe, module: nn.Module) -> None:
    assert model.anatomies.of(edited) == measure(module, traced(edited, module))


def its_heads_learn(model: Model) -> None:
    """Every head gets a gradient. The losses of a detector need targets: surgery's tests."""
    assert edit_of(model.edited).heads
    seen = model.anatomies.of(model.edited).trace
    heads = [head for head in seen.heads if head.classes]
    assert heads
    if seen.detector:
        return
    result: Any = model.module.train()(*example_inputs(model.recipe.base, 2))
    outputs: list[Tensor] = [tensor for _, tensor in tensors_in(result)]
    assert any(CLASSES in output.shape for output in outputs)
    torch.stack([output.float().square().mean() for output in outputs]).sum().backward()
    for head in heads:
        grad = model.module.get_parameter(f"{head.path}.weight").grad
        assert grad is not None, f"{head.path} gets no gradient"


def exactly_what_the_edits_did_differs(model: Model) -> None:
    """The expected effect comes from the recipe and the library's own model."""
    graphs = GraphsServicer(model.store)
    base, recipe = model.recipe, with_a_part_frozen_and_another_loss(model)
    real = real_difference(base, recipe, model.store)
    found = graphs.CompareGraphs(graph_pb2.CompareGraphsRequest(a=base.id, b=recipe.id))
    assert sorted(item.path for item in found.differences) == real
    back = graphs.CompareGraphs(graph_pb2.CompareGraphsRequest(a=recipe.id, b=base.id))
    assert sorted(path_in_a(item) for item in back.differences) == real


def with_a_part_frozen_and_another_loss(model: Model) -> Recipe:
    surgery = SurgeryServicer(model.store)
    freeze = surgery_pb2.FreezeLayersRequest(model=model.edited.id, layers=FROZEN[model.name])
    edited = surgery.FreezeLayers(freeze).model.id
    if model.name not in COMPUTES_ITS_OWN_LOSS:
        loss = surgery_pb2.SetLossRequest(model=edited, loss="focal")
        edited = surgery.SetLoss(loss).model.id
    return get_recipe(model.store, edited)


def real_difference(base: Recipe, recipe: Recipe, store: Store) -> list[str]:
    """Paths, "" once for the loss and once for parameters of the model itself."""
    graft, freeze = recipe.edits[0], recipe.edits[1]
    assert isinstance(graft, Retarget)
    assert isinstance(freeze, Freeze)
    (appended,) = {head.append for head in graft.heads}
    heads = {"head"} if appended else {head.path for head in graft.heads}
    before = build(Recipe(base.base, (graft,)), store, device="meta")
    loss = [""] if recipe.loss != base.loss else []
    return sorted([*(heads | owners(before, freeze.paths)), *loss])


def owners(module: nn.Module, paths: Iterable[str]) -> set[str]:
    """Modules with a parameter of their own, at or below the paths, that trains."""
    found = set()
    for name, parameter in module.named_parameters(remove_duplicate=False):
        below = any(not path or name == path or name.startswith(f"{path}.") for path in paths)
        if below and parameter.requires_grad:
            found.add(name.rpartition(".")[0])
    return found


def path_in_a(item: graph_pb2.ModuleDifference) -> str:
    return item.path_before if item.HasField("path_before") else item.path


class Operators(TorchDispatchMode):
    """Takes down the operators that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.seen.add(str(operator))
        return operator(*args, **(kwargs or {}))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_those_that_cover_the_others_meet_every_operator_and_kind_of_head(store: Store) -> None:
    met: dict[bool, set[str]] = {True: set(), False: set()}
    for name in EVERY_NAME:
        edited, module = (model := Model(name, store)).edited, model.module
        with Operators() as operators:
            traced(edited, module)
        heads = edit_of(edited).heads
        kinds = {type(module.get_submodule(h.path)).__name__ for h in heads if not h.append}
        met[name in COVERING] |= operators.seen | kinds | {"appended" for h in heads if h.append}
    assert met[False] <= met[True]


def test_the_sample_has_sixty_names_of_every_task_and_both_libraries() -> None:
    chosen = [entry for entry in entries() if entry.name in SAMPLE]
    assert len(chosen) == len(SAMPLE) == NAMES
    assert {entry.task for entry in chosen} == set(TASKS)
    assert {entry.source for entry in chosen} == {"torchvision", "timm"}
    assert len({family(entry) for entry in chosen}) >= 50


def test_the_tables_name_models_of_the_zoo_and_the_sample_takes_from_them() -> None:
    names = {entry.name for entry in entries()}
    for table in (HEADS, FROZEN, MANY_COUNTS, TRAINED_HEADS, COVERING):
        assert not set(table) - names
    assert len(FROZEN) == 30
    assert len(set(SAMPLE) & set(HEADS)) >= 20
