"""Recipes in the store whose edits name layers that their model lacks, met through the rpcs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from netgraft.errors import NotPossible
from netgraft.graph.servicer import GraphsServicer
from netgraft.models.edits.freeze import Freeze
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.models.resolve import resolve
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import graph_pb2, surgery_pb2


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


@pytest.mark.parametrize("rpc", [drawn, listed, compared, frozen])
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
