"""Recipes in the store whose edits name layers that their model lacks, met through the rpcs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from netgraft.errors import NotPossible
from netgraft.graph.servicer import GraphsServicer
from netgraft.library.servicer import ModelsServicer
from netgraft.models.edits.freeze import Freeze
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.models.resolve import resolve
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import graph_pb2, models_pb2, surgery_pb2


def drawn(store: Store, model: str) -> object:
    return GraphsServicer(store).DrawGraph(graph_pb2.DrawGraphRequest(model=model))


def listed(store: Store, model: str) -> object:
    return GraphsServicer(store).ListModules(graph_pb2.ListModulesRequest(model=model))


def compared(store: Store, model: str) -> object:
    request = graph_pb2.CompareGraphsRequest(a="squeezenet1_1", b=model)
    return GraphsServicer(store).CompareGraphs(request)


def frozen(store: Store, model: str) -> object:
    request = surgery_pb2.FreezeLayersRequest(model=model, layers=["features.0"])
    return SurgeryServicer(store).FreezeLayers(request)


def inspected(store: Store, model: str) -> object:
    return SurgeryServicer(store).InspectModel(surgery_pb2.InspectModelRequest(model=model))


def retargeted(store: Store, model: str) -> object:
    request = surgery_pb2.RetargetModelRequest(model=model, classes=5)
    return SurgeryServicer(store).RetargetModel(request)


def undone(store: Store, model: str) -> object:
    return SurgeryServicer(store).UndoEdit(surgery_pb2.UndoEditRequest(model=model))


def exported(store: Store, model: str) -> object:
    request = models_pb2.ExportModelRequest(model=model, format="state_dict")
    return list(ModelsServicer(store).ExportModel(request))


def printed(store: Store, model: str) -> object:
    request = models_pb2.ExportModelRequest(model=model, format="python")
    return list(ModelsServicer(store).ExportModel(request))


EVERY = [drawn, listed, compared, frozen, inspected, retargeted, undone, exported, printed]


@pytest.mark.parametrize("rpc", EVERY)
def test_an_edit_that_does_not_fit_is_a_sentence(
    rpc: Callable[[Store, str], object], tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db'}")
    base = resolve("squeezenet1_1", "none", store).recipe
    recipe = base.with_edit(Freeze(paths=("no.such.layer",), trainable=False))
    model = put_recipe(store, Recipe(recipe.base, recipe.edits))
    with pytest.raises(NotPossible, match=r"no\.such\.layer"):
        rpc(store, model)
    store.engine.dispose()
