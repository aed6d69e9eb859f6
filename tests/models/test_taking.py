"""What is taken away works without netgraft, and is the model that netgraft has."""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torchvision
from safetensors.torch import load_file

from netgraft.errors import DetectorFormat, InvalidValue
from netgraft.library.servicer import ModelsServicer
from netgraft.models.answers import answering
from netgraft.models.bases import example_inputs, task
from netgraft.models.build import build
from netgraft.models.export import loss_code
from netgraft.models.losses.catalogue import LOSSES, make_loss
from netgraft.models.recipes import get_recipe
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.run import run
from netgraft.v1 import models_pb2, surgery_pb2

HOSTILE = ('"""\nraise SystemExit', "猫 | <b>`x`</b>", "# [a](b)", "d", "e")
DETECTOR = "fasterrcnn_mobilenet_v3_large_320_fpn"

FRESH = """
import importlib.util, pathlib, sys
sys.path[:0] = [sys.argv[1]]
import torch
torch.set_num_threads(1)
assert importlib.util.find_spec("netgraft") is None
for folder in map(pathlib.Path, sys.argv[2:]):
    found = {"__file__": str(folder / "rebuild.py")}
    exec((folder / "rebuild.py").read_text(), found)
    model = found["model"]
    with torch.no_grad():
        out = model(*torch.load(folder / "inputs.pt"))
    trains = [name for name, p in model.named_parameters() if p.requires_grad]
    torch.save({"out": out, "trains": trains, "classes": found.get("classes"),
                "loss": "loss" in found}, folder / "outputs.pt")
"""


class Services:
    """A store with edited models, and the services over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(str(folder / "store"), f"sqlite:///{folder / 'db.sqlite'}")
        self.models = ModelsServicer(self.store)
        self.surgery = SurgeryServicer(self.store)
        self.ids: dict[str, str] = {}

    def retarget(self, model: str, classes: int, names: tuple[str, ...] = ()) -> str:
        request = surgery_pb2.RetargetModelRequest(model=model, classes=classes, class_names=names)
        return self.surgery.RetargetModel(request).model.id

    def freeze(self, model: str) -> str:
        request = surgery_pb2.FreezeLayersRequest(model=model, layers=["backbone"])
        return self.surgery.FreezeLayers(request).model.id

    def export(self, name: str, kind: str) -> Path:
        """The file of a format, under the name that the service gave it."""
        request = models_pb2.ExportModelRequest(model=self.ids[name], format=kind)
        chunks = list(self.models.ExportModel(request))
        file = self.folder / name / chunks[0].name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"".join(chunk.data for chunk in chunks))
        return file

    def inputs(self, name: str, batch: int) -> tuple[Any, ...]:
        recipe = get_recipe(self.store, self.ids[name])
        torch.manual_seed(batch)
        if recipe.training:  # its files take the side that it was tuned for
            side = answering(recipe).side
            return (torch.rand(batch, 3, side, side),)
        return tuple(
            [torch.rand_like(x) for x in part] if isinstance(part, list) else torch.rand_like(part)
            for part in example_inputs(recipe.base, batch, "cpu")
        )

    def outputs(self, name: str, inputs: tuple[Any, ...]) -> Any:
        """What the service's own model answers."""
        with torch.no_grad():
            return build(get_recipe(self.store, self.ids[name]), self.store).eval()(*inputs)

    def tune(self, model: str) -> str:
        """A real tuning job, in this process."""
        jobs = Jobs(self.store)
        request = Request(model, "digits", epochs=1, image_size=16, batch_size=64, workers=1)
        job = jobs.create(planning.plan(request, Capacity(2, 0), self.store))
        run(job.id, Group(0, 1, torch.device("cpu")), self.store)
        return jobs.get(job.id).result_model


@pytest.fixture(scope="module")
def services(
    tmp_path_factory: pytest.TempPathFactory, torch_home_with_weights: Path
) -> Iterator[Services]:
    services = Services(tmp_path_factory.mktemp("services"))
    checkpoints = services.folder / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    for file in (torch_home_with_weights / "hub" / "checkpoints").iterdir():
        (checkpoints / file.name).symlink_to(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(services.folder / "torch"))
        _pretend_pretrained(checkpoints)
        torch.set_num_threads(1)
        edited = services.freeze(services.retarget("mobilenet_v2", 5, HOSTILE))
        loss = surgery_pb2.SetLossRequest(model=edited, loss="focal")
        services.ids["edited"] = services.surgery.SetLoss(loss).model.id
        services.ids["tuned"] = services.tune(services.retarget("timm/test_resnet@none", 10))
        services.ids["segments"] = services.retarget("lraspp_mobilenet_v3_large@none", 4)
        services.ids["detects"] = services.retarget(DETECTOR, 3)
        services.ids["appended"] = services.retarget("timm/test_vit@none", 7)
        yield services


def _pretend_pretrained(checkpoints: Path) -> None:
    """Random values as the detector's weights: with weights, its structure is another."""
    weights = torchvision.models.get_model_weights(DETECTOR).DEFAULT
    model = torchvision.models.get_model(DETECTOR, weights=None, weights_backbone=None)
    torch.save(model.state_dict(), checkpoints / Path(weights.url).name)


@pytest.fixture(scope="module")
def fresh(services: Services) -> dict[str, dict[str, Any]]:
    """What the printed code does in an interpreter that has no netgraft, by model."""
    folders = []
    for name in services.ids:
        code = services.export(name, "python")
        folders.append(code.parent)
        code.rename(code.parent / "rebuild.py")
        services.export(name, "state_dict")
        torch.save(services.inputs(name, 2), code.parent / "inputs.pt")
    packages = sysconfig.get_paths()["purelib"]
    command = [sys.executable, "-I", "-S", "-c", FRESH, packages, *folders]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": ""}, check=False)
    assert done.returncode == 0, done.stderr
    return {f.name: torch.load(f / "outputs.pt", weights_only=False) for f in folders}


MODELS = ("edited", "tuned", "segments", "detects", "appended")


def same(a: Any, b: Any) -> bool:
    """Whether two outputs are equal to the bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b)


@pytest.mark.parametrize("name", MODELS)
def test_the_code_rebuilds_the_model_where_there_is_no_netgraft(
    services: Services, fresh: dict[str, dict[str, Any]], name: str
) -> None:
    expected = services.outputs(name, services.inputs(name, 2))
    assert same(fresh[name]["out"], expected)
    if name == "detects":
        assert len(expected[0]["boxes"]), "equal because both are empty would say nothing"
    own = build(get_recipe(services.store, services.ids[name]), services.store)
    trains = [path for path, p in own.named_parameters() if p.requires_grad]
    assert fresh[name]["trains"] == trains


def test_the_code_knows_the_loss_and_the_classes_by_the_names_that_were_given(
    fresh: dict[str, dict[str, Any]],
) -> None:
    assert fresh["edited"]["classes"] == HOSTILE
    assert fresh["edited"]["loss"]
    assert not fresh["tuned"]["loss"]


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_in_the_code_is_the_one_that_training_minimises(name: str) -> None:
    space: dict[str, Any] = {"torch": torch, "F": torch.nn.functional}
    exec(loss_code.function(name), space)
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 5, 6)
    target = torch.randint(0, 4, (3, 5, 6))
    target[0, :2] = 255
    expected = make_loss(name)(logits, target)
    assert torch.allclose(space["loss"](logits, target), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["edited", "tuned", "segments", "detects"])
def test_tensor_files_hold_every_tensor_of_the_model(services: Services, name: str) -> None:
    own = build(get_recipe(services.store, services.ids[name]), services.store).state_dict()
    plain = torch.load(services.export(name, "state_dict"), weights_only=True)
    for found in (plain, load_file(services.export(name, "safetensors"))):
        assert found.keys() == own.keys()
        assert all(torch.equal(found[key], own[key]) for key in own)


EDITED = pytest.param("edited", marks=pytest.mark.slow)
"""Larger than `tuned`, and no other network to an exporter: what is frozen is exported alike."""


def leaves(out: Any) -> list[torch.Tensor]:
    return list(out.values()) if isinstance(out, dict) else [out]


@pytest.mark.parametrize("name", [EDITED, "tuned", "segments"])
@pytest.mark.parametrize("kind", ["pt2", "torchscript"])
def test_a_program_of_torch_takes_any_batch(services: Services, name: str, kind: str) -> None:
    file = services.export(name, kind)
    program = torch.export.load(file).module() if kind == "pt2" else torch.jit.load(file)
    for batch in (1, 3):
        inputs = services.inputs(name, batch)
        with torch.no_grad():
            found = leaves(program(*inputs))
        for one, other in zip(found, leaves(services.outputs(name, inputs)), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [EDITED, "tuned", "segments"])
def test_onnx_takes_any_batch_and_computes_the_same(services: Services, name: str) -> None:
    session = onnxruntime.InferenceSession(services.export(name, "onnx"))
    for batch in (1, 3):
        inputs = services.inputs(name, batch)
        feed = zip((part.name for part in session.get_inputs()), inputs, strict=True)
        found = session.run(None, {key: value.numpy() for key, value in feed})
        for one, other in zip(found, leaves(services.outputs(name, inputs)), strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-4)


def test_a_detector_as_torchscript_finds_as_many_boxes_as_there_are(services: Services) -> None:
    program = torch.jit.load(services.export("detects", "torchscript"))
    for batch in (1, 3):
        (pictures,) = services.inputs("detects", batch)
        with torch.no_grad():
            _, found = program(pictures)
        assert same(found, services.outputs("detects", (pictures,)))


@pytest.mark.parametrize("kind", ["pt2", "onnx"])
def test_what_a_format_cannot_hold_is_said_in_a_sentence(services: Services, kind: str) -> None:
    with pytest.raises(
        DetectorFormat, match=f"the format {kind} cannot hold. Take python"
    ) as shown:
        services.export("detects", kind)
    assert "请改用 python" in shown.value.sentence("zh")
    with pytest.raises(InvalidValue, match="torchscript, python, card"):
        services.export("edited", "zip")


def test_a_card_says_what_the_model_is_and_how_to_load_it(services: Services) -> None:
    text = services.export("tuned", "card").read_text()
    recipe = get_recipe(services.store, services.ids["tuned"])
    assert recipe.canonical() in text
    assert f"# {recipe.title}".replace("_", r"\_") in text
    for line in (
        "3. Tuned by job `tune-",
        "Classification, 10 classes.",
        "| data | digits |",
        "| epochs | 1 |",
        "N × 3 × 16 × 16, RGB",
        "None apply: it began from random weights.",
        f"netgraft export {recipe.id[:12]} --format python -o rebuild.py",
        "on held-out pictures, measured once (95 % interval",
        "| pictures held out, to measure with | ",
        "SHA\\-256 of the contents",
        "| torch | ",
        "cores",
        "softmax(logits / ",
        "from rebuild import predict",
    ):
        assert line in text, line
    metrics = dict(recipe.metrics)
    assert f"| accuracy | {metrics['accuracy']:.6g} |" in text
    parameters = sum(p.numel() for p in build(recipe, services.store, device="meta").parameters())
    assert f"{parameters:,} parameters" in text


def test_a_card_does_not_guess_a_licence_and_takes_names_as_text(services: Services) -> None:
    text = services.export("edited", "card").read_text()
    assert "Not stated by the library." in text
    assert "license:" not in text
    assert "- 1: 猫 \\| \\<b\\>\\`x\\`\\</b\\>" in text
    assert "- 2: \\# \\[a\\]\\(b\\)" in text
    assert "It was not tuned." in text
    assert "0.602 GFLOPs a picture" in text


def test_a_card_states_the_licence_that_the_library_knows(services: Services) -> None:
    request = models_pb2.ResolveModelRequest(model="timm/resnet50@a1_in1k")
    services.ids["licensed"] = services.models.ResolveModel(request).id
    text = services.export("licensed", "card").read_text()
    assert 'license: "apache-2.0"' in text
    assert "<details><summary>1000 class names, by index</summary>" in text
    assert "- 0: tench" in text


@pytest.mark.parametrize("kind", ["segments", "detects"])
def test_a_card_knows_every_task(services: Services, kind: str) -> None:
    text = services.export(kind, "card").read_text()
    found = task(get_recipe(services.store, services.ids[kind]).base)
    assert f"{found.capitalize()}, " in text
    front = dict(line.split(": ", 1) for line in text.split("---")[1].strip().splitlines())
    hub = {"segmentation": "image-segmentation", "detection": "object-detection"}
    assert json.loads(front["pipeline_tag"]) == hub[found]
