"""On real architectures the differences are exactly what the recipes' edits say, no more, no less.

The expected effect of an edit comes from the recipe and the library's own model, not from
`difference`.
"""

from pathlib import Path

import pytest
from torch import nn

from netgraft.graph.servicer import GraphsServicer
from netgraft.models.build import build
from netgraft.models.edits.freeze import Freeze
from netgraft.models.edits.retarget import Retarget
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.models.resolve import resolve
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import graph_pb2, surgery_pb2

FROZEN = {
    "alexnet": ("features",),
    "convnext_tiny": ("features.0", "features.1"),
    "densenet121": ("backbone",),
    "efficientnet_b0": ("features.6",),
    "fcn_resnet50": ("backbone",),
    "googlenet": ("inception4a", "inception3a.branch2"),
    "inception_v3": ("Mixed_5b", "AuxLogits"),
    "lraspp_mobilenet_v3_large": ("classifier",),
    "mnasnet0_5": ("layers.8",),
    "mobilenet_v2": ("backbone",),
    "mobilenet_v3_small": ("all",),
    "r3d_18": ("layer1",),
    "regnet_y_400mf": ("stem", "trunk_output.block3"),
    "resnet50": ("layer1", "fc.bias"),
    "retinanet_resnet50_fpn": ("head.classification_head",),
    "shufflenet_v2_x0_5": ("stage2",),
    "squeezenet1_1": ("head",),
    "ssdlite320_mobilenet_v3_large": ("backbone.features.0",),
    "swin_t": ("features.3",),
    "vgg11": ("features.0", "classifier.0"),
    "vit_b_16": ("encoder.pos_embedding", "encoder.layers.encoder_layer_3"),
    "timm/efficientvit_b0": ("stages.0",),
    "timm/ghostnet_100": ("conv_stem", "bn1"),
    "timm/levit_128s": ("backbone",),
    "timm/mixer_s32_224": ("blocks.2",),
    "timm/mobilenetv4_conv_small": ("blocks.1",),
    "timm/rexnet_100": ("features.3",),
    "timm/test_convnext": ("stages.0",),
    "timm/test_vit": ("patch_embed", "cls_token"),
    "timm/eva02_tiny_patch14_224": ("body.blocks.0",),  # headless: a head is appended
}
"""A part of each architecture: module paths, single parameters, and words."""

COMPUTES_ITS_OWN_LOSS = ("retinanet_resnet50_fpn", "ssdlite320_mobilenet_v3_large")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder: Path = tmp_path_factory.mktemp("zoo")
    return Store(str(folder / "store"), f"sqlite:///{folder / 'db'}")


@pytest.fixture(scope="module")
def surgery(store: Store) -> SurgeryServicer:
    return SurgeryServicer(store)


def edited(surgery: SurgeryServicer, name: str) -> Recipe:
    """The model for 7 classes, with a part of it frozen and another loss."""
    request = surgery_pb2.RetargetModelRequest(model=f"{name}@none", classes=7)
    model = surgery.RetargetModel(request).model.id
    layers = FROZEN[name]
    freeze = surgery_pb2.FreezeLayersRequest(model=model, layers=layers)
    model = surgery.FreezeLayers(freeze).model.id
    if name not in COMPUTES_ITS_OWN_LOSS:
        loss = surgery_pb2.SetLossRequest(model=model, loss="focal")
        model = surgery.SetLoss(loss).model.id
    return get_recipe(surgery.store, model)


def owners(module: nn.Module, paths: tuple[str, ...]) -> set[str]:
    """Modules with a parameter of their own, at or below the paths, that trains."""
    found = set()
    for name, parameter in module.named_parameters(remove_duplicate=False):
        below = any(not path or name == path or name.startswith(f"{path}.") for path in paths)
        if below and parameter.requires_grad:
            found.add(name.rpartition(".")[0])
    return found


def real_difference(base: Recipe, recipe: Recipe, store: Store) -> list[str]:
    """Paths, "" once for the loss and once for parameters of the model itself."""
    retarget, freeze = recipe.edits[0], recipe.edits[1]
    assert isinstance(retarget, Retarget)
    assert isinstance(freeze, Freeze)
    (appended,) = {head.append for head in retarget.heads}
    heads = {"head"} if appended else {head.path for head in retarget.heads}
    before = build(Recipe(base.base, (retarget,)), store, device="meta")
    loss = [""] if recipe.loss != base.loss else []
    return sorted([*(heads | owners(before, freeze.paths)), *loss])


def path_in_a(item: graph_pb2.ModuleDifference) -> str:
    return item.path_before if item.HasField("path_before") else item.path


@pytest.mark.parametrize("name", FROZEN)
def test_exactly_what_the_edits_did_differs(name: str, surgery: SurgeryServicer) -> None:
    graphs = GraphsServicer(surgery.store)
    base = resolve(f"{name}@none", "none", surgery.store).recipe
    recipe = edited(surgery, name)
    real = real_difference(base, recipe, surgery.store)
    found = graphs.CompareGraphs(graph_pb2.CompareGraphsRequest(a=base.id, b=recipe.id))
    assert sorted(item.path for item in found.differences) == real
    back = graphs.CompareGraphs(graph_pb2.CompareGraphsRequest(a=recipe.id, b=base.id))
    assert sorted(path_in_a(item) for item in back.differences) == real


def test_thirty_architectures_are_compared() -> None:
    assert len(FROZEN) == 30
