"""Hugging Face's vision models: from a folder and from the hub's cache, edited and taken away."""

import importlib.util
import json
import re
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import nn

from netgraft.errors import (
    NetgraftError,
    OutsideDataRoots,
    PackageMissing,
    TooLarge,
    UnsupportedFile,
    WeightsUnavailable,
)
from netgraft.graph.servicer import GraphsServicer
from netgraft.models import bases, resolve
from netgraft.models.build import build
from netgraft.models.export.export import file_name, write
from netgraft.models.losses.catalogue import make_loss
from netgraft.models.notices import said
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.tasks.classification import TASK
from netgraft.tuning.train.schedule import Schedule
from netgraft.tuning.train.step import Learner, StepConfig
from netgraft.v1 import graph_pb2, surgery_pb2

BUILD = "netgraft.models.sources.huggingface.build"

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
SMALL_VIDEO = {
    "hidden_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": 16,
    "patch_size": 8,
    "num_frames": 4,
    "num_labels": 5,
}
NAMES = {0: "cat", 1: "dog", 2: "red fox"}
KINDS = {
    "vit": lambda: transformers.ViTForImageClassification(
        transformers.ViTConfig(**SMALL, id2label=NAMES, label2id={v: k for k, v in NAMES.items()})
    ),
    "deit": lambda: transformers.DeiTForImageClassificationWithTeacher(
        transformers.DeiTConfig(**SMALL, num_labels=5)
    ),
    "convnext": lambda: transformers.ConvNextForImageClassification(
        transformers.ConvNextConfig(
            hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], image_size=32, num_labels=5
        )
    ),
    "videomae": lambda: transformers.VideoMAEForVideoClassification(
        transformers.VideoMAEConfig(**SMALL_VIDEO)
    ),
    "segformer": lambda: transformers.SegformerForSemanticSegmentation(
        transformers.SegformerConfig(
            depths=[1, 1, 1, 1],
            hidden_sizes=[8, 16, 24, 32],
            num_attention_heads=[1, 1, 2, 2],
            decoder_hidden_size=32,
            image_size=64,
            num_labels=5,
        )
    ),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of folders that `save_pretrained` wrote."""
    folder = tmp_path_factory.mktemp("saved")
    torch.manual_seed(0)
    for name, make in KINDS.items():
        make().save_pretrained(folder / name)
    pictures = {
        "size": {"height": 32, "width": 32},
        "image_mean": [0.5] * 3,
        "image_std": [0.25] * 3,
    }
    (folder / "vit" / "preprocessor_config.json").write_text(json.dumps(pictures))
    return folder


@pytest.fixture
def surgery(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SurgeryServicer]:
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", f"{saved}:{tmp_path}")
    settings.cache_clear()
    store = Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")
    yield SurgeryServicer(store)
    store.engine.dispose()
    settings.cache_clear()


def opened(surgery: SurgeryServicer, reference: str) -> Recipe:
    return resolve.resolve(reference, "pretrained", surgery.store).recipe


def own(saved: Path, name: str) -> nn.Module:
    config = transformers.AutoConfig.from_pretrained(saved / name)
    kind = getattr(transformers, config.architectures[0])
    model: nn.Module = kind.from_pretrained(saved / name, attn_implementation="eager").eval()
    return model


def retargeted(surgery: SurgeryServicer, model: str, **said: Any) -> Any:
    return surgery.RetargetModel(surgery_pb2.RetargetModelRequest(model=model, **said))


@pytest.mark.parametrize("name", KINDS)
def test_a_folder_is_a_model_that_answers_as_transformers_own(
    name: str, saved: Path, surgery: SurgeryServicer
) -> None:
    recipe = opened(surgery, f"./{name}")
    assert recipe.title == f"hf/{name}"
    x = torch.rand(2, *bases.input_shape(recipe.base))
    with torch.no_grad():
        given = x.transpose(1, 2) if name == "videomae" else x  # transformers has frames first
        logits = own(saved, name)(pixel_values=given).logits
        found = build(recipe, surgery.store).eval()(x)
    if name == "segformer":
        assert bases.task(recipe.base) == "segmentation"
        logits = nn.functional.interpolate(
            logits, size=x.shape[-2:], mode="bilinear", align_corners=False
        )
    assert torch.equal(found, logits)


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("vit", [("classifier", 3)]),
        ("deit", [("cls_classifier", 5), ("distillation_classifier", 5)]),
        ("convnext", [("classifier", 5)]),
        ("videomae", [("classifier", 5)]),
        ("segformer", [("decode_head.classifier", 5)]),
    ],
)
def test_every_head_is_found_replaced_and_drawn(
    name: str, heads: list[tuple[str, int]], surgery: SurgeryServicer
) -> None:
    reply = retargeted(surgery, f"./{name}", classes=7)
    assert [(h.path, h.before, h.after) for h in reply.heads] == [(p, n, 7) for p, n in heads]
    recipe = get_recipe(surgery.store, reply.model.id)
    out = build(recipe, surgery.store)(torch.rand(2, *bases.input_shape(recipe.base)))
    assert out.shape[:2] == (2, 7)
    drawn = GraphsServicer(surgery.store).DrawGraph(
        graph_pb2.DrawGraphRequest(model=reply.model.id)
    )
    assert drawn.top_level_nodes >= 2


def test_classes_that_it_knows_by_name_keep_their_weights(surgery: SurgeryServicer) -> None:
    reply = retargeted(surgery, "./vit", class_names=["red_fox", "cow", "cat"])
    assert {k.name: k.old_name for k in reply.kept_classes} == {"red_fox": "red fox", "cat": "cat"}


def test_pictures_are_prepared_as_the_folder_says(surgery: SurgeryServicer) -> None:
    shown = bases.preprocessing(opened(surgery, "./vit").base)
    assert (shown.size, shown.mean, shown.std) == (32, (0.5,) * 3, (0.25,) * 3)


def test_it_learns(surgery: SurgeryServicer) -> None:
    recipe = get_recipe(surgery.store, retargeted(surgery, "./vit", classes=2).model.id)
    learner = Learner(
        build(recipe, surgery.store),
        TASK,
        make_loss("cross_entropy"),
        StepConfig(Schedule(0.01, 5, 150)),
        device=torch.device("cpu"),
    )
    torch.manual_seed(0)
    x = torch.rand(8, 3, 32, 32)
    labels = torch.arange(8) % 2
    x[labels == 1] += 1
    losses = [float(learner.step((x, labels))) for _ in range(150)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("name", KINDS)
def test_the_code_rebuilds_it_to_the_bit_without_netgraft(
    name: str, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    recipe = get_recipe(surgery.store, retargeted(surgery, f"./{name}", classes=7).model.id)
    for kind in ("python", "state_dict"):
        write(recipe, surgery.store, kind, tmp_path / file_name(recipe, kind))
    code = tmp_path / file_name(recipe, "python")
    assert "import netgraft" not in code.read_text()
    assert "from netgraft." not in code.read_text()
    rebuilt = runpy.run_path(str(code))["model"]
    x = torch.rand(2, *bases.input_shape(recipe.base))
    with torch.no_grad():
        assert torch.equal(rebuilt(x), build(recipe, surgery.store).eval()(x))


@pytest.mark.parametrize("kind", ["pt2", "onnx", "torchscript", "safetensors"])
def test_it_is_exported(kind: str, surgery: SurgeryServicer, tmp_path: Path) -> None:
    recipe = opened(surgery, "./vit")
    file = tmp_path / file_name(recipe, kind)
    write(recipe, surgery.store, kind, file)
    model, x = build(recipe, surgery.store).eval(), torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        wanted = model(x)
        if kind == "safetensors":
            model.load_state_dict(load_file(file))
            found = model(x)
        elif kind == "onnx":
            session = onnxruntime.InferenceSession(file)
            found = torch.from_numpy(
                session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
            )
        else:
            program = torch.export.load(file).module() if kind == "pt2" else torch.jit.load(file)
            found = program(x)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_a_model_of_the_hub_is_found_in_its_cache(
    saved: Path, surgery: SurgeryServicer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    commit = "0" * 40
    repository = cache / "models--acme--tiny-vit"
    shutil.copytree(saved / "vit", repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    recipe = opened(surgery, "hf/acme/tiny-vit")
    assert recipe.title == "hf/acme/tiny-vit"
    assert recipe.base.file
    assert recipe.base.file.sha256 == opened(surgery, "./vit").base.file.sha256  # type: ignore[union-attr]
    with pytest.raises(WeightsUnavailable, match="hf/acme/other"):
        opened(surgery, "hf/acme/other")


def change(saved: Path, folder: Path, pictures: object = None, **said: object) -> str:
    """A copy of the ViT whose configuration, or what it says of pictures, is another."""
    shutil.copytree(saved / "vit", folder / "changed")
    file = folder / "changed" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | said))
    if pictures is not None:
        (folder / "changed" / "preprocessor_config.json").write_text(json.dumps(pictures))
    return str(folder / "changed")


DEEP: Any = 1
for _ in range(200):
    DEEP = [DEEP]

CONFIGS: list[tuple[dict[str, object], type[NetgraftError], str]] = [
    ({"auto_map": {"AutoModel": "evil.Model"}}, UnsupportedFile, "never run"),
    ({"architectures": ["GPT2LMHeadModel"]}, UnsupportedFile, "GPT2LMHeadModel"),
    ({"architectures": ["DetrForObjectDetection"]}, UnsupportedFile, "DetrForObjectDetection"),
    ({"architectures": ["YolosForObjectDetection"]}, UnsupportedFile, "ForImageClassification"),
    ({"architectures": ["os"]}, UnsupportedFile, "asks for os"),
    ({"architectures": []}, UnsupportedFile, "asks for nothing"),
    ({"architectures": 5}, UnsupportedFile, "list of names"),
    ({"architectures": [{}]}, UnsupportedFile, "list of names"),
    ({"model_type": "no-such"}, UnsupportedFile, "no-such"),
    ({"model_type": None}, UnsupportedFile, "no model_type"),
    ({"quantization_config": {"quant_method": "gptq"}}, UnsupportedFile, "quantized"),
    ({"backbone": "/etc/passwd"}, UnsupportedFile, "another model"),
    ({"architecture": "local-dir:/tmp"}, UnsupportedFile, "another model"),
    ({"architecture": "hf-hub:evil/model"}, UnsupportedFile, "another model"),
    ({"num_hidden_layers": 10**9}, TooLarge, "num_hidden_layers"),
    ({"num_hidden_layers": 10**5}, TooLarge, "20,000 modules"),
    ({"num_hidden_layers": 3}, UnsupportedFile, "lack"),
    ({"num_hidden_layers": "2"}, UnsupportedFile, "num_hidden_layers"),
    ({"num_hidden_layers": 2.0}, UnsupportedFile, "num_hidden_layers"),
    ({"hidden_size": 34}, UnsupportedFile, "classifier.weight is (3, 34) by it and (3, 32)"),
    ({"hidden_size": 10**6, "intermediate_size": 10**6}, UnsupportedFile, "numbers, they hold"),
    ({"hidden_size": -32}, UnsupportedFile, "config.json"),
    ({"image_size": 10**6}, UnsupportedFile, "8,192 pixels"),
    ({"image_size": [32, 64]}, UnsupportedFile, "32 x 64"),
    ({"image_size": 40}, UnsupportedFile, "cannot take pictures"),
    ({"num_channels": "x"}, UnsupportedFile, "num_channels"),
    ({"num_channels": 0}, UnsupportedFile, "num_channels"),
    ({"num_channels": 10**5}, TooLarge, "num_channels"),
    ({"num_labels": 3 * 10**5, "id2label": None, "label2id": None}, TooLarge, "num_labels"),
    ({"num_labels": 0}, UnsupportedFile, "num_labels"),
    ({"num_labels": True}, UnsupportedFile, "num_labels"),
    ({"id2label": ["a", "b", "c"]}, UnsupportedFile, "id2label"),
    ({"layer_norm_eps": float("nan")}, UnsupportedFile, "layer_norm_eps: nan"),
    ({"layer_norm_eps": float("inf")}, UnsupportedFile, "layer_norm_eps: inf"),
    ({"depths": [1] * 5000}, TooLarge, "1,024 members"),
    ({"deep": DEEP}, UnsupportedFile, "within each other"),
]


@pytest.mark.parametrize(("said", "error", "words"), CONFIGS, ids=[str(c[0])[:40] for c in CONFIGS])
def test_a_configuration_that_is_not_what_it_should_be_is_refused(
    said: dict[str, object],
    error: type[NetgraftError],
    words: str,
    saved: Path,
    surgery: SurgeryServicer,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=re.escape(words)):
        opened(surgery, change(saved, tmp_path, **said))
    assert not surgery.store.names("tensors")
    assert not surgery.store.names("opened")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"image_mean": ["a", "b", "c"]}, "3 numbers"),
        ({"image_mean": [0.5]}, "3 numbers"),
        ({"image_mean": [True] * 3}, "3 numbers"),
        ({"image_std": [0, 1, 1]}, "0 or less"),
        ({"image_std": {"red": 1}}, "3 numbers"),
        ({"rescale_factor": -1}, "0 or less"),
        ({"rescale_factor": "x"}, "a number"),
        ({"size": {"height": "x", "width": 3}}, "size of pictures"),
        ({"size": 10**9}, "size of pictures"),
        ({"size": -3}, "size of pictures"),
        ({"size": [1, 2, 3]}, "size of pictures"),
        ({"size": {"height": 16, "width": 16}}, "cannot take pictures"),
        ([1], "damaged"),
    ],
)
def test_pictures_that_nothing_could_be_are_refused(
    said: object, words: str, saved: Path, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedFile, match=re.escape(words)):
        opened(surgery, change(saved, tmp_path, said))
    assert not surgery.store.names("tensors")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("ViTImageProcessor", {}),
        ("ViTImageProcessor", {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}),
        ("ViTImageProcessor", {"do_normalize": False}),
        ("ViTImageProcessor", {"do_rescale": False, "image_mean": [128, 127, 126]}),
        ("ViTImageProcessor", {"rescale_factor": 1 / 127.5}),
        ("EfficientNetImageProcessor", {"rescale_factor": 1 / 127.5, "rescale_offset": True}),
        ("EfficientNetImageProcessor", {"include_top": True}),
    ],
)
def test_pixels_become_the_numbers_that_transformers_itself_makes_of_them(
    kind: str, said: dict[str, object], saved: Path, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    size = {"height": 32, "width": 32}
    processor = getattr(transformers, kind)(size=size, do_center_crop=False, **said)
    pixels = torch.randint(0, 256, (3, 32, 32), generator=torch.manual_seed(0), dtype=torch.uint8)
    wanted = processor(pixels, return_tensors="pt")["pixel_values"][0]
    folder = change(saved, tmp_path, json.loads(processor.to_json_string()))
    preprocessing = bases.preprocessing(opened(surgery, folder).base)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    torch.testing.assert_close((pixels / 255 - mean) / std, wanted.float(), atol=1e-4, rtol=1e-4)


def test_a_notice_says_that_pictures_were_not_square(
    saved: Path, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    shutil.copytree(saved / "segformer", tmp_path / "wide")
    size = {"size": {"height": 64, "width": 96}}
    (tmp_path / "wide" / "preprocessor_config.json").write_text(json.dumps(size))
    found = resolve.resolve(str(tmp_path / "wide"), "pretrained", surgery.store)
    assert bases.input_shape(found.recipe.base) == (3, 64, 64)
    assert "pictures of 64 x 96" in said(found.notices[0], "en")


def test_a_folder_is_read_once_and_known_by_its_content(
    saved: Path, surgery: SurgeryServicer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(surgery, "./vit")
    monkeypatch.setattr(f"{BUILD}.loaded", lambda *_: pytest.fail("read again"))
    assert opened(surgery, "./vit") == first
    with pytest.raises(pytest.fail.Exception):
        opened(surgery, "./deit")


def test_pickled_weights_and_damaged_files_are_refused(
    saved: Path, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    folder = Path(change(saved, tmp_path))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UnsupportedFile):
        opened(surgery, str(folder))
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(UnsupportedFile, match=r"model\.safetensors"):
        opened(surgery, str(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(UnsupportedFile, match="damaged"):
        opened(surgery, str(folder))


@pytest.mark.parametrize(
    "index",
    ["{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": [1]}', '{"weight_map": {"a": []}}'],
)
def test_a_damaged_list_of_shards_is_refused(
    index: str, saved: Path, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    folder = Path(change(saved, tmp_path))
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(UnsupportedFile):
        opened(surgery, str(folder))
    assert not surgery.store.names("tensors")


def test_folders_outside_the_data_roots_are_not_read(
    surgery: SurgeryServicer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(OutsideDataRoots):
        opened(surgery, str(tmp_path_factory.mktemp("elsewhere")))


@pytest.mark.parametrize("part", ["model.safetensors", "config.json", "index", "adapter"])
def test_no_file_of_a_folder_leads_outside_it(
    part: str, saved: Path, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    folder = tmp_path / "linked"
    shutil.copytree(saved / "vit", folder)
    if part == "index":
        (folder / "model.safetensors").unlink()
        away = {"vit.x": "../away/model.safetensors"}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": away}))
    elif part == "adapter":
        (folder / "adapter_config.json").write_text("{}")
    else:
        (folder / part).unlink()
        (folder / part).symlink_to(saved / "vit" / part)
    with pytest.raises(UnsupportedFile, match=r"outside its folder|holds an adapter"):
        opened(surgery, str(folder))
    assert not surgery.store.names("tensors")


def test_without_transformers_the_error_says_what_to_install(
    surgery: SurgeryServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        f"{BUILD}.find_spec",
        lambda n: None if n == "transformers" else found(n),
    )
    for reference in ("./vit", "hf/google/vit-base-patch16-224"):
        with pytest.raises(PackageMissing, match=r"pip install 'netgraft\[hf\]'"):
            opened(surgery, reference)
