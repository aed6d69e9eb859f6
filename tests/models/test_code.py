"""Exported code reads as a person would have written it, and makes the very same model."""

import ast
import runpy
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from netgraft.library.servicer import ModelsServicer
from netgraft.models.bases import example_inputs
from netgraft.models.build import build
from netgraft.models.export.code import python
from netgraft.models.export.statements import layer, part, place, put
from netgraft.models.recipe import Base
from netgraft.models.recipes import get_recipe
from netgraft.models.sources.torchvision.code import plain
from netgraft.models.sources.torchvision.source import TorchvisionSource
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import models_pb2, surgery_pb2

LOADING = """
weights = Path(__file__).with_name("w.pth")
model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
model.eval()
"""

Edit = Callable[["Services", str], str]


class Services:
    """Models and edits in a store, by the services' own rpcs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(str(folder / "store"), f"sqlite:///{folder / 'db.sqlite'}")
        self.surgery = SurgeryServicer(self.store)
        self.models = ModelsServicer(self.store)

    def made(self, model: str, *edits: Edit) -> str:
        """The id of a model after edits."""
        model = self.models.ResolveModel(models_pb2.ResolveModelRequest(model=model)).id
        for edit in edits:
            model = edit(self, model)
        return model

    def code(self, model: str) -> str:
        return python(get_recipe(self.store, model), "w.pth", self.store)


def retarget(classes: int) -> Edit:
    request = surgery_pb2.RetargetModelRequest
    return lambda services, model: (
        services.surgery.RetargetModel(request(model=model, classes=classes)).model.id
    )


def freeze(*layers: str) -> Edit:
    request = surgery_pb2.FreezeLayersRequest
    return lambda services, model: (
        services.surgery.FreezeLayers(request(model=model, layers=layers)).model.id
    )


def unfreeze(*layers: str) -> Edit:
    request = surgery_pb2.UnfreezeLayersRequest
    return lambda services, model: (
        services.surgery.UnfreezeLayers(request(model=model, layers=layers)).model.id
    )


def replace(path: str, kind: str) -> Edit:
    request = surgery_pb2.ReplaceModuleRequest
    return lambda services, model: (
        services.surgery.ReplaceModule(request(model=model, path=path, type=kind)).model.id
    )


def dropout(p: float) -> Edit:
    request = surgery_pb2.SetDropoutRequest
    return lambda services, model: services.surgery.SetDropout(request(model=model, p=p)).model.id


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    torch.set_num_threads(1)
    services = Services(tmp_path_factory.mktemp("code"))
    yield services
    services.store.engine.dispose()


def body(code: str) -> str:
    """The statements between what is imported and what loads the weights."""
    assert code.endswith(LOADING)
    lines = code.removesuffix(LOADING).splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("model = "))
    return "\n".join(lines[first:]).strip()


def test_the_whole_file_for_a_plain_head_is_what_a_tutorial_has(services: Services) -> None:
    model = services.made("resnet50@none", retarget(100))
    assert (
        services.code(model)
        == f'''"""resnet50 · random weights · 100 classes

Rebuilt from netgraft recipe {model}.
The weights lie beside this file:
netgraft export {model[:12]} --format state_dict -o w.pth
"""

from pathlib import Path

import torch
import torchvision
from torch import nn

model = torchvision.models.resnet50(weights=None)
model.fc = nn.Linear(2048, 100)
{LOADING}'''
    )


PLAIN: dict[str, tuple[str, tuple[Edit, ...], str]] = {
    "an index": (
        "mobilenet_v2@none",
        (retarget(10), freeze("backbone")),
        """
model = torchvision.models.mobilenet_v2(weights=None)
model.classifier[1] = nn.Linear(1280, 10)
model.features.requires_grad_(False)""",
    ),
    "a convolution": (
        "lraspp_mobilenet_v3_large@none",
        (retarget(21),),
        """
model = torchvision.models.segmentation.lraspp_mobilenet_v3_large(
    weights=None, weights_backbone=None
)
model.classifier.low_classifier = nn.Conv2d(40, 21, kernel_size=1)
model.classifier.high_classifier = nn.Conv2d(128, 21, kernel_size=1)""",
    ),
    "what timm counts": (
        "timm/test_vit@none",
        (retarget(7), freeze("backbone"), unfreeze("blocks.1")),
        """
model = timm.create_model("test_vit", pretrained=False)
model.head = nn.Linear(64, 7)
model.num_classes = 7
for part in (
    model.cls_token,
    model.pos_embed,
    model.patch_embed,
    model.blocks,
    model.norm,
):
    part.requires_grad_(False)
model.blocks[1].requires_grad_(True)""",
    ),
    "the last of two heads": (
        "squeezenet1_1@none",
        (retarget(5), replace("features.1", "GELU"), retarget(4)),
        """
model = torchvision.models.squeezenet1_1(weights=None)
model.features[1] = nn.GELU()
model.classifier[1] = nn.Conv2d(512, 4, kernel_size=1)
model.num_classes = 4""",
    ),
    "a head with dropout": (
        "timm/test_resnet@none",
        (retarget(5), dropout(0.25)),
        """
model = timm.create_model("test_resnet", pretrained=False)
model.fc = nn.Linear(96, 5)
model.num_classes = 5
dropout_before(model.fc, 0.25)""",
    ),
    "a frozen head": (
        "squeezenet1_1@none",
        (freeze("head"), retarget(4)),
        """
model = torchvision.models.squeezenet1_1(weights=None)
model.classifier[1].requires_grad_(False)
resize(model.classifier[1], 4)  # classifier.1: Conv2d(512 → 1000) → Conv2d(512 → 4)
model.num_classes = 4""",
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_code_makes_the_very_same_model(services: Services, tmp_path: Path, name: str) -> None:
    reference, edits, text = PLAIN[name]
    model = services.made(reference, *edits)
    code = services.code(model)
    assert body(code) == text.strip()
    assert ("def resize" in code) == ("resize(" in body(code))
    recipe = get_recipe(services.store, model)
    own = build(recipe, services.store).eval()
    torch.save(own.state_dict(), tmp_path / "w.pth")
    (tmp_path / "rebuild.py").write_text(code)
    again: nn.Module = runpy.run_path(str(tmp_path / "rebuild.py"))["model"]
    assert _parameters(again) == _parameters(own)
    assert [(n, type(m).__name__) for n, m in again.named_modules() if "dropout" not in n][1:] == [
        (n, _kind(m)) for n, m in own.named_modules() if "dropout" not in n
    ][1:]
    inputs = _inputs(recipe.base)
    with torch.no_grad():
        assert _same(again(*inputs), own(*inputs))


def _kind(module: nn.Module) -> str:
    """What exported code calls the class of a layer."""
    name = type(module).__name__
    return "WithDropout" if name.startswith("Dropout") and name != "Dropout" else name


def _parameters(module: nn.Module) -> list[tuple[str, torch.Size, torch.dtype, bool]]:
    return [(n, p.shape, p.dtype, p.requires_grad) for n, p in module.named_parameters()]


def _inputs(base: Any) -> tuple[Any, ...]:
    torch.manual_seed(0)
    return tuple(
        [torch.rand_like(x) for x in each] if isinstance(each, list) else torch.rand_like(each)
        for each in example_inputs(base, 2, "cpu")
    )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return torch.equal(a, b)


class Strange(nn.Module):
    """Places that no plain expression names, or names otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(OrderedDict({"1": nn.ReLU(), "0": nn.Linear(2, 2)}))
        self.by_name = nn.ModuleDict({"a b": nn.Linear(2, 2), "plain": nn.Linear(2, 2)})
        self.add_module("class", nn.Linear(2, 2))
        self.add_module("ﬁ", nn.Linear(2, 2))  # Python would read "fi"
        self.one = self.other = nn.Linear(2, 2)
        self.listed = nn.Linear(2, 2)
        self.beside = [self.listed]


@pytest.mark.parametrize("path", [name for name, _ in Strange().named_modules() if name])
def test_a_place_is_the_module_of_its_path_however_it_is_called(path: str) -> None:
    model = Strange()
    text = place(model, path)
    assert eval(text, {"model": model}) is model.get_submodule(path)
    plain = {"body", "by_name", "by_name.plain", "one", "listed"}
    assert (text == f"model.{path}") == (path in plain)
    exec(put(model, path, "nn.Identity()"), {"model": model, "nn": nn})
    assert isinstance(model.get_submodule(path), nn.Identity)


def test_a_layer_that_is_used_in_two_places_is_not_made_twice() -> None:
    model = Strange()
    assert layer(model, "one") is None
    assert layer(model, "listed") is None
    assert layer(model, "body.0") is not None


LAYERS = {
    "nn.Linear(3, 4)": nn.Linear(3, 4),
    "nn.Linear(3, 4, bias=False)": nn.Linear(3, 4, bias=False),
    "nn.Conv1d(3, 4, kernel_size=5, stride=2)": nn.Conv1d(3, 4, 5, stride=2),
    "nn.Conv2d(3, 4, kernel_size=(1, 3), padding=(0, 1))": nn.Conv2d(3, 4, (1, 3), padding=(0, 1)),
    'nn.Conv2d(4, 4, kernel_size=3, padding="same", dilation=2, groups=2)': nn.Conv2d(
        4, 4, 3, padding="same", dilation=2, groups=2
    ),
    'nn.Conv3d(3, 4, kernel_size=2, bias=False, padding_mode="circular")': nn.Conv3d(
        3, 4, 2, bias=False, padding_mode="circular"
    ),
}


@pytest.mark.parametrize("call", LAYERS)
def test_a_layer_is_written_with_what_is_not_the_default(call: str) -> None:
    model = nn.Sequential(LAYERS[call])
    made = layer(model, "0")
    assert made is not None
    assert (made.call, made.extra) == (call, {})
    again = eval(call, {"nn": nn})
    assert repr(again) == repr(model[0])


def test_an_attribute_that_the_owner_gave_a_layer_is_given_again() -> None:
    """Torchvision's Inception does so with `stddev`."""
    model = nn.Sequential(nn.Linear(768, 3))
    model[0].stddev = 0.001
    made = layer(model, "0")
    assert made is not None
    assert made.call == "nn.Linear(768, 3)"
    assert made.attributes("model[0]") == ["model[0].stddev = 0.001"]
    model[0].table = {}
    assert layer(model, "0") is None


def _hooked() -> nn.Module:
    made = nn.Linear(2, 2)
    made.register_forward_hook(lambda *_: None)
    return made


def _frozen() -> nn.Module:
    made = nn.Linear(2, 2)
    made.bias.requires_grad_(False)
    return made


def _own_forward() -> nn.Module:
    made = nn.Linear(2, 2)
    made.forward = lambda x: x  # type: ignore[method-assign]
    return made


class Subclass(nn.Linear):
    """May do anything."""


@pytest.mark.parametrize(
    "made",
    [
        _hooked(),
        _frozen(),
        _own_forward(),
        Subclass(2, 2),
        nn.Linear(2, 2).half(),
        nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
        nn.ConvTranspose2d(2, 2, 1),
        nn.Bilinear(2, 2, 2),
    ],
    ids=lambda made: type(made).__name__,
)
def test_what_a_call_would_not_make_keeps_its_layer(made: nn.Module) -> None:
    assert layer(nn.Sequential(made), "0") is None


def test_a_parameter_is_named_as_it_is_held() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_parameter("a token", nn.Parameter(torch.zeros(1)))
    assert part(model, "0.weight") == "model[0].weight"
    assert part(model, "a token") == 'model.get_parameter("a token")'
    assert part(model, "") == "model"


def test_every_name_of_torchvision_is_called_where_people_find_it() -> None:
    library = TorchvisionSource()
    for name in ("resnet18", "fcn_resnet50", "r3d_18", "raft_small", "ssd300_vgg16"):
        [line] = plain(Base("torchvision", name, None), library.construct, 224).lines
        call = ast.parse(line).body[0].value.func  # type: ignore[attr-defined]
        builder = eval(ast.unparse(call), {"torchvision": torchvision})
        assert builder is torchvision.models.get_model_builder(name)
