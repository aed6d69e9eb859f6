"""An edit that a package outside netgraft brings is found, built, drawn, described and exported."""

import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import NotPossible
from netgraft.graph.servicer import GraphsServicer
from netgraft.models.build import build
from netgraft.models.edits import edit as edits
from netgraft.models.export import export
from netgraft.models.export.card import markdown
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.models.resolve import resolve
from netgraft.store.store import Store
from netgraft.surgery import operations
from netgraft.surgery.messages import Messages
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import graph_pb2, surgery_pb2

OUTSIDE = Path(__file__).with_name("outside")
OP, MODULE, PATH = "standardise", "standardise", "conv1.0"


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As `pip install` leaves a package: a module on the path, and metadata that names it."""
    metadata = tmp_path / "standardise-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: standardise\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{edits.GROUP}]\n{OP} = {MODULE}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(OUTSIDE))
    yield
    edits._KINDS.pop(OP, None)
    operations._OPERATIONS.pop(OP, None)
    sys.modules.pop(MODULE, None)


@pytest.fixture
def base(store: Store) -> Recipe:
    return resolve("timm/test_resnet@none", "pretrained", store).recipe


@pytest.fixture
def edited(base: Recipe, anatomies: Anatomies) -> Recipe:
    return operations.find(OP)(base, paths=[PATH], anatomies=anatomies).recipe


def test_a_recipe_that_names_it_is_read_without_anybody_importing_it(base: Recipe) -> None:
    document = json.loads(base.canonical())
    document["edits"] = [{"op": OP, "paths": [PATH]}]
    assert MODULE not in sys.modules
    recipe = Recipe.from_json(json.dumps(document))
    assert type(recipe.edits[0]).__module__ == MODULE
    assert Recipe.from_json(recipe.canonical()) == recipe
    assert json.loads(recipe.canonical()) == document


@pytest.mark.parametrize("find", [edits.kind, operations.find])
def test_an_edit_that_no_package_brings_is_refused(find: object) -> None:
    with pytest.raises(NotPossible, match=r"knows no edit 'sparsify'.*install"):
        find("sparsify")  # type: ignore[operator]


def test_no_operation_makes_the_edit_of_a_tuning_job() -> None:
    with pytest.raises(NotPossible, match="'tuned'"):
        operations.find("tuned")


def test_two_edits_of_one_name_are_refused() -> None:
    edits.kind(OP)
    with pytest.raises(TypeError, match="two edits are called 'standardise'"):
        type("Other", (edits.Edit,), {"op": OP})


def test_it_is_built_and_what_comes_after_sees_it(
    edited: Recipe, store: Store, surgery: SurgeryServicer
) -> None:
    plain, model = build(edited.parent, store).eval(), build(edited, store).eval()
    x_NCHW = torch.rand(1, 3, 160, 160)
    assert not torch.equal(plain(x_NCHW), model(x_NCHW))
    weight = plain.get_parameter(f"{PATH}.weight").detach()
    centred = weight - weight.mean((1, 2, 3), keepdim=True)
    spread = centred.square().mean((1, 2, 3), keepdim=True).sqrt()
    plain.get_parameter(f"{PATH}.weight").data = centred / (spread + 1e-5)
    assert torch.equal(plain(x_NCHW), model(x_NCHW))
    reply = surgery.RetargetModel(surgery_pb2.RetargetModelRequest(model=edited.id, classes=7))
    again = build(get_recipe(store, reply.model.id), store)
    assert type(again.get_submodule(PATH)).__name__ == "StandardConv2d"
    assert again(x_NCHW).shape == (1, 7)
    frozen = surgery.FreezeLayers(
        surgery_pb2.FreezeLayersRequest(model=reply.model.id, layers=["backbone"])
    )
    assert 0 < frozen.trainable_after < frozen.parameters_after == reply.parameters_after


def test_it_is_drawn(edited: Recipe, store: Store) -> None:
    graphs = GraphsServicer(store)
    plain, drawn = (
        graphs.DrawGraph(graph_pb2.DrawGraphRequest(model=model))
        for model in (edited.parent.id, edited.id)
    )
    assert drawn.parameters == plain.parameters
    assert drawn.operators > plain.operators


def test_it_is_described(base: Recipe, anatomies: Anatomies) -> None:
    made = operations.find(OP)(base, paths=[PATH], anatomies=anatomies)
    assert made.edit == made.recipe.edits[-1]
    assert made.facts.sentences(Messages("en")) == ["Weights of conv1.0 are standardised"]
    assert made.recipe.title == f"{base.title} · weights standardised"
    assert "2. Weights of `conv1.0` are standardised." in markdown(made.recipe, anatomies.store)


def test_it_is_taken_away(edited: Recipe, store: Store, tmp_path: Path) -> None:
    for kind in ("python", "state_dict", "torchscript"):
        export.write(edited, store, kind, tmp_path / export.file_name(edited, kind))
    code = tmp_path / export.file_name(edited, "python")
    assert "standardise" not in code.read_text().replace("standardised", ""), "it needs no package"
    again: nn.Module = runpy.run_path(str(code))["model"]
    x_NCHW = torch.rand(2, 3, 160, 160)
    expected = build(edited, store).eval()(x_NCHW)
    assert torch.equal(again(x_NCHW), expected)
    traced = torch.jit.load(str(tmp_path / export.file_name(edited, "torchscript")))
    assert torch.allclose(traced(x_NCHW), expected, atol=1e-5)
