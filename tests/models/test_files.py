"""Files as users have them: what can be built is built, nothing in them is ever run."""

import contextlib
import io
import json
import os
import pickle
import random
import shutil
import struct
import time
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from onnx import TensorProto, helper
from safetensors.torch import save_file
from torch import nn

from netgraft.errors import (
    NoSuchFile,
    OnlyDrawn,
    OutsideDataRoots,
    TooLarge,
    UnsafeFile,
    UnsupportedFile,
)
from netgraft.models import bases, resolve
from netgraft.models.build import build
from netgraft.models.notices import said
from netgraft.models.recipe import Recipe
from netgraft.models.untrusted import limits, safe_open
from netgraft.models.untrusted.formats import LONGEST_NAME
from netgraft.settings import settings
from netgraft.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(root))
    monkeypatch.setenv("NETGRAFT_FILE_MIB", "64")
    settings.cache_clear()
    yield root
    monkeypatch.undo()
    settings.cache_clear()


def opened(store: Store, name: str) -> Recipe:
    return resolve.resolve(name, "pretrained", store).recipe


def small() -> nn.Module:
    return torchvision.models.squeezenet1_1()


class Marker:
    """Unpickled the ordinary way, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"mkdir {self.path}",)


# Nothing in a file is run


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_calls_the_system_is_refused_by_its_name_and_runs_nothing(
    store: Store, root: Path, protocol: int
) -> None:
    torch.save({"weight": Marker(root / "ran")}, root / "evil.pth", pickle_protocol=protocol)
    (root / "plain.pth").write_bytes(pickle.dumps(Marker(root / "ran"), protocol))
    for name in ("evil.pth", "plain.pth"):
        with pytest.raises(UnsafeFile, match=r"posix\.system"):
            opened(store, name)
    assert not (root / "ran").exists()
    assert store.files.glob(f"{store.root}/files/*") == [], "what is refused is not kept"


class OwnLayer(nn.Linear):
    """A class that nobody but this file knows."""


def test_a_module_of_ones_own_class_is_refused_by_the_class_name(store: Store, root: Path) -> None:
    torch.save(nn.Sequential(OwnLayer(2, 2)), root / "own.pth")
    with pytest.raises(UnsafeFile, match="OwnLayer"):
        opened(store, "own.pth")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch.fx.graph_module", "reduce_graph_module"),
        ("torch.jit._serialization", "load"),
        ("torch.hub", "load"),
        ("builtins", "eval"),
        ("torchvision.models.resnet", "load_state_dict_from_url"),
        ("torchvision.models.resnet", "resnet18"),
        ("timm.models._builder", "build_model_with_cfg"),
        ("timm.models._hub", "load_state_dict_from_hf"),
        ("torch.nn.modules.module", "warnings.warn"),
    ],
)
def test_only_classes_of_layers_may_be_named(
    store: Store, root: Path, module: str, name: str
) -> None:
    text = f"\x80\x02c{module}\n{name}\n)R."
    with zipfile.ZipFile(root / "net.pth", "w") as archive:
        archive.writestr("net/data.pkl", text.encode("latin-1"))
        archive.writestr("net/version", "3\n")
    with pytest.raises(UnsafeFile, match=name.rpartition(".")[2]):
        opened(store, "net.pth")


def test_a_layer_is_restored_and_never_constructed(store: Store, root: Path) -> None:
    """Else a call with huge sizes would take all memory."""
    pickled = b"\x80\x02ctorch.nn.modules.linear\nLinear\nJ\x00\x00\x00\x40J\x00\x00\x00\x40\x86R."
    with zipfile.ZipFile(root / "net.pth", "w") as archive:
        archive.writestr("net/data.pkl", pickled)
        archive.writestr("net/byteorder", "little")
        archive.writestr("net/version", "3\n")
    start = time.perf_counter()
    with pytest.raises(UnsupportedFile):
        opened(store, "net.pth")
    assert time.perf_counter() - start < 30


def test_hooks_and_replaced_methods_in_a_module_are_refused(store: Store, root: Path) -> None:
    hooked = nn.Sequential(nn.Linear(2, 2))
    hooked[0]._forward_hooks = OrderedDict({0: nn.Linear})
    replaced = nn.Sequential(nn.Linear(2, 2))
    replaced[0].__dict__["forward"] = nn.ReLU
    for name, module in (("hooked.pth", hooked), ("replaced.pth", replaced)):
        torch.save(module, root / name)
        with pytest.raises(UnsafeFile, match="code of its own at 0"):
            opened(store, name)


# Whole modules


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_whole_pickled_module_is_built_with_its_weights(
    store: Store, root: Path, wrapped: bool
) -> None:
    model = small().eval()
    torch.save(nn.DataParallel(model) if wrapped else model, root / "net.pth")
    recipe = opened(store, "./net.pth")
    assert Recipe.from_json(recipe.canonical()) == recipe
    assert str(root) not in recipe.canonical()
    built = build(recipe, store).eval()
    x_NCHW = torch.randn(2, *bases.input_shape(recipe.base))
    assert torch.equal(built(x_NCHW), model(x_NCHW))
    assert bases.task(recipe.base) == "classification"
    on_meta = build(recipe, store, device="meta")
    assert {t.device.type for t in on_meta.state_dict().values()} == {"meta"}


def test_the_input_of_a_module_in_no_zoo_is_found_by_trying(store: Store, root: Path) -> None:
    layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10)]
    torch.save(nn.Sequential(*layers), root / "mnist.pth")
    recipe = opened(store, "mnist.pth")
    assert bases.input_shape(recipe.base) == (1, 28, 28)
    assert bases.task(recipe.base) == "classification"


def test_a_whole_timm_model_is_built(store: Store, root: Path) -> None:
    model = timm.create_model("convnext_atto", num_classes=5).eval()
    torch.save(model, root / "net.pt")
    recipe = opened(store, "net.pt")
    x_NCHW = torch.randn(1, *bases.input_shape(recipe.base))
    assert torch.equal(build(recipe, store).eval()(x_NCHW), model(x_NCHW))


# State dicts


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {f"_orig_mod.module.{key}": value for key, value in state.items()},
        lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
    ],
    ids=["plain", "nested", "data-parallel", "compiled", "old"],
)
def test_a_state_dict_takes_the_structure_that_its_names_and_shapes_fit(
    store: Store, root: Path, wrap: object
) -> None:
    model = torchvision.models.resnet18().eval()
    torch.save(wrap(model.state_dict()), root / "best.pth")  # type: ignore[operator]
    resolved = resolve.resolve("best.pth", "pretrained", store)
    assert (resolved.recipe.base.source, resolved.recipe.base.name) == ("torchvision", "resnet18")
    assert "resnet18" in said(resolved.notices[0], "en")
    assert "结构" in said(resolved.notices[0], "zh")
    x_NCHW = torch.randn(1, 3, 64, 64)
    assert torch.equal(build(resolved.recipe, store).eval()(x_NCHW), model(x_NCHW))


def test_a_head_may_count_other_classes(store: Store, root: Path) -> None:
    model = torchvision.models.resnet18(num_classes=7).eval()
    torch.save(model.state_dict(), root / "seven.pth")
    recipe = opened(store, "seven.pth")
    assert recipe.classes == 7
    assert "7 classes" in recipe.title
    built = build(recipe, store).eval()
    assert built.fc.out_features == 7
    x_NCHW = torch.randn(1, 3, 64, 64)
    assert torch.equal(built(x_NCHW), model(x_NCHW))
    assert build(recipe, store, device="meta").fc.weight.shape == (7, 512)


def test_safetensors_of_a_timm_model_are_fitted(store: Store, root: Path) -> None:
    model = timm.create_model("convnext_atto", num_classes=3).eval()
    save_file(model.state_dict(), str(root / "net.safetensors"))
    recipe = opened(store, "net.safetensors")
    assert (recipe.base.source, recipe.base.name) == ("timm", "convnext_atto")
    x_NCHW = torch.randn(1, 3, 64, 64)
    assert torch.equal(build(recipe, store).eval()(x_NCHW), model(x_NCHW))


def test_a_structure_of_other_weights_is_distinguished_from_the_names_own(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """384 pixels, and so more positions."""
    model = torchvision.models.vit_b_16(image_size=384).to(torch.bfloat16)
    torch.save(model.state_dict(), root / "vit.pth")
    monkeypatch.setenv("NETGRAFT_FILE_MIB", "512")
    settings.cache_clear()
    recipe = opened(store, "vit.pth")
    assert recipe.base.name == "vit_b_16"
    assert bases.input_shape(recipe.base) == (3, 384, 384)


def test_tensors_that_fit_nothing_are_only_shown(store: Store, root: Path) -> None:
    torch.save({"a.weight": torch.zeros(2, 3)}, root / "own.pth")
    resolved = resolve.resolve("own.pth", "pretrained", store)
    assert "no model of the zoo" in said(resolved.notices[0], "en")
    with pytest.raises(OnlyDrawn, match=r"own\.pth"):
        build(resolved.recipe, store, device="meta")


def test_the_same_bytes_under_the_same_name_are_the_same_model(store: Store, root: Path) -> None:
    torch.save({"a": torch.zeros(2)}, root / "net.pth")
    (root / "other").mkdir()
    (root / "other" / "net.pth").write_bytes((root / "net.pth").read_bytes())
    one = opened(store, "net.pth")
    assert opened(store, "other/../other/net.pth").id == one.id
    torch.save({"a": torch.ones(2)}, root / "net.pth")
    assert opened(store, "net.pth").id != one.id


# Files that Netron shows


def onnx_bytes(nodes: int = 3) -> bytes:
    made = [helper.make_node("Relu", [f"x{i}"], [f"x{i + 1}"]) for i in range(nodes)]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        made,
        "g",
        [value("x0", TensorProto.FLOAT, [1, 4])],
        [value(f"x{nodes}", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor("w", TensorProto.FLOAT, [3, 5], [0.0] * 15)],
    )
    return helper.make_model(graph).SerializeToString()  # type: ignore[no-any-return]


def keras_bytes(config: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.5.0"}')
        archive.writestr("config.json", config)
    return out.getvalue()


def scripted() -> bytes:
    out = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.ReLU())), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("net.onnx", onnx_bytes(), "onnx"),
        ("net.pth", onnx_bytes(), "onnx"),  # by content, whatever it is called
        ("net.keras", keras_bytes(b"{}"), "keras"),
        ("net.pt", scripted(), "torchscript"),
        ("net.h5", b"\x89HDF\r\n\x1a\n" + bytes(100), "hdf5"),
        ("net.tflite", b"\x1c\0\0\0TFL3" + bytes(100), "tflite"),
        ("net.gguf", b"GGUF" + bytes(100), "gguf"),
        ("net.prototxt", b"layer {}", "prototxt"),
    ],
)
def test_other_formats_are_kept_as_they_are_and_only_shown(
    store: Store, root: Path, name: str, content: bytes, kind: str
) -> None:
    (root / name).write_bytes(content)
    recipe = opened(store, name)
    assert recipe.base.file is not None
    assert recipe.base.file.kind == kind
    with pytest.raises(OnlyDrawn):
        build(recipe, store)
    with pytest.raises(OnlyDrawn):
        bases.example_inputs(recipe.base)


# Hostile files


def test_the_nearest_model_is_named_for_a_state_dict_that_fits_none(
    store: Store, root: Path
) -> None:
    state = torchvision.models.resnet18().state_dict()
    torch.save({k: v for k, v in state.items() if "layer4.1" not in k}, root / "cut.pth")
    torch.save({"a.weight": torch.zeros(2, 2), "b.weight": torch.zeros(2)}, root / "other.pth")
    resolved = resolve.resolve("cut.pth", "pretrained", store)
    (notice,) = resolved.notices
    assert (
        "Nearest is resnet18; of its 102 tensors 10 are missing or of another shape: "
        "layer4.1.conv1.weight, layer4.1.bn1.weight, layer4.1.bn1.bias, …."
    ) in said(notice, "en")
    assert "最接近的是 resnet18" in said(notice, "zh")
    with pytest.raises(OnlyDrawn):
        build(resolved.recipe, store)
    (notice,) = resolve.resolve("other.pth", "pretrained", store).notices
    assert "Nearest" not in said(notice, "en")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(store: Store, root: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", bytes(200 * 2**20))
    (root / "bomb.keras").write_bytes(out.getvalue())
    start = time.perf_counter()
    with pytest.raises(TooLarge, match="unpacked"):
        opened(store, "bomb.keras")
    assert time.perf_counter() - start < 5


def test_a_graph_of_a_million_nodes_is_refused_in_bounded_time(store: Store, root: Path) -> None:
    node = b"\x0a\x06\x22\x04Relu"
    graph = node * 1_000_000
    length = bytearray()
    size = len(graph)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    (root / "net.onnx").write_bytes(b"\x08\x0a\x3a" + bytes([*length, size]) + graph)
    start = time.perf_counter()
    with pytest.raises(TooLarge, match="50,000 nodes"):
        opened(store, "net.onnx")
    assert time.perf_counter() - start < 20


def test_graphs_nested_without_end_are_refused(store: Store, root: Path) -> None:
    def wrapped(tag: int, inner: bytes) -> bytes:
        length, size = bytearray(), len(inner)
        while size > 127:
            length.append(size & 127 | 128)
            size >>= 7
        return bytes([tag << 3 | 2, *length, size]) + inner

    graph = b""
    for _ in range(600):  # a graph in an attribute in a node in a graph
        graph = wrapped(1, wrapped(5, wrapped(6, graph)))
    (root / "net.onnx").write_bytes(b"\x08\x0a" + wrapped(7, graph))
    with pytest.raises(TooLarge, match="within each other"):
        opened(store, "net.onnx")


def test_a_keras_model_of_a_million_layers_is_refused(store: Store, root: Path) -> None:
    layers = [{"class_name": "Dense"}] * 1_000_000
    (root / "net.keras").write_bytes(keras_bytes(json.dumps(layers).encode()))
    with pytest.raises(TooLarge, match="50,000 nodes"):
        opened(store, "net.keras")


def test_a_view_that_claims_more_than_the_file_holds_is_refused(store: Store, root: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(10**12)}, root / "net.pth")
    with pytest.raises(TooLarge):
        opened(store, "net.pth")


def test_a_file_above_the_limit_is_refused(store: Store, root: Path) -> None:
    with (root / "net.onnx").open("wb") as out:
        out.truncate(65 * 2**20)
    with pytest.raises(TooLarge, match="64 MiB"):
        opened(store, "net.onnx")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["pth", "legacy.pth", "safetensors", "onnx", "keras", "pt"])
def test_a_truncated_file_is_reported_as_such(
    store: Store, root: Path, kind: str, share: float
) -> None:
    whole = root / f"whole.{kind}"
    state = {f"layer{i}.weight": torch.randn(20, 20) for i in range(5)}
    if kind == "safetensors":
        save_file(state, str(whole))
    elif kind == "onnx":
        whole.write_bytes(onnx_bytes(50))
    elif kind == "keras":
        whole.write_bytes(keras_bytes(json.dumps(list(range(1000))).encode()))
    elif kind == "pt":
        whole.write_bytes(scripted())
    else:
        torch.save(state, whole, _use_new_zipfile_serialization=kind == "pth")
    content = whole.read_bytes()
    (root / f"cut.{kind}").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnsupportedFile, match="cut"):
        opened(store, f"cut.{kind}")


def test_no_bytes_whatever_bring_it_down(store: Store, root: Path) -> None:
    chance = random.Random(0)
    torch.save({"a": torch.zeros(8)}, root / "state.pth")
    torch.save(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)), root / "module.pth")
    torch.save({"a": torch.zeros(8)}, root / "old.pth", _use_new_zipfile_serialization=False)
    whole = [(root / f"{name}.pth").read_bytes() for name in ("state", "module", "old")]
    whole += [onnx_bytes(), keras_bytes(b"{}"), scripted()]
    for index in range(600):
        data = bytearray(whole[index % len(whole)])
        for _ in range(chance.randint(1, 10)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        (root / "odd.pth").write_bytes(bytes(data))
        with contextlib.suppress(UnsupportedFile, UnsafeFile, TooLarge):
            opened(store, "odd.pth")


def test_a_header_that_lies_about_its_length_is_refused(store: Store, root: Path) -> None:
    (root / "net.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(UnsupportedFile):
        opened(store, "net.safetensors")


# Paths and names


@pytest.mark.parametrize(
    "reference", ["../out.pth", "/etc/passwd.pth", "~/x.pth", "a/../../out.pth", "/dev/zero.pt"]
)
def test_no_path_outside_the_roots_is_read(store: Store, root: Path, reference: str) -> None:
    torch.save({"a": torch.zeros(1)}, root.parent / "out.pth")
    with pytest.raises(OutsideDataRoots):
        opened(store, reference)


def test_a_link_out_of_the_root_is_refused(store: Store, root: Path) -> None:
    torch.save({"a": torch.zeros(1)}, root.parent / "out.pth")
    (root / "link.pth").symlink_to(root.parent / "out.pth")
    with pytest.raises(OutsideDataRoots):
        opened(store, "link.pth")


def test_a_folder_that_becomes_a_link_while_its_file_is_opened_is_refused(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (root / "own", root.parent / "out"):
        folder.mkdir()
        save_file({"w": torch.zeros(2)}, folder / "x.safetensors")
    real = safe_open.opened

    def swapped(path: Path, *rest: Any) -> Any:
        shutil.rmtree(root / "own")
        (root / "own").symlink_to(root.parent / "out")
        return real(path, *rest)

    monkeypatch.setattr(safe_open, "opened", swapped)
    with pytest.raises(UnsupportedFile, match="replaced meanwhile"):
        opened(store, "own/x.safetensors")
    assert not store.names("files")


def test_what_is_no_plain_file_is_refused_and_not_waited_for(store: Store, root: Path) -> None:
    os.mkfifo(root / "pipe.pth")
    (root / "folder.pth").mkdir()
    for name in ("pipe.pth", "folder.pth"):
        with pytest.raises(UnsupportedFile):
            opened(store, name)


def test_a_missing_file_is_reported_with_the_folders_searched(store: Store, root: Path) -> None:
    with pytest.raises(NoSuchFile, match="root"):
        opened(store, "./nothing.pth")


HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m[red]'\"\n{0}" + "x" * 120 + ".onnx"


def test_a_hostile_name_becomes_a_short_plain_line(store: Store, root: Path) -> None:
    (root / HOSTILE).write_bytes(onnx_bytes())
    (root / ".onnx").write_bytes(onnx_bytes())
    for file in (HOSTILE, "./.onnx"):
        recipe = opened(store, file)
        assert 0 < len(recipe.title) <= LONGEST_NAME
        assert not set("<>&\"'\x1b\u202e\n[]{}/\\") & set(recipe.title)


def test_letters_of_every_script_stay(store: Store, root: Path) -> None:
    (root / "我的 模型.onnx").write_bytes(onnx_bytes())
    assert opened(store, "我的 模型.onnx").title == "我的 模型.onnx"


def test_an_onnx_is_counted_off_the_wire(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(onnx_bytes(7))
    with (tmp_path / "net.onnx").open("rb") as file:
        size = limits.onnx_size(file, "net.onnx")
    assert (size.nodes, size.top_level, size.parameters) == (7, 7, 15)
