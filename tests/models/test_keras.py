"""`.keras` files: what Keras saved is shown, retargeted, trained and taken away as torch has it."""

import importlib.util
import io
import json
import os
import resource
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

from netgraft.errors import CannotExport, NetgraftError, OnlyDrawn, UnsafeFile, UnsupportedFile
from netgraft.graph.servicer import GraphsServicer
from netgraft.models import bases, resolve
from netgraft.models.build import build
from netgraft.models.export.export import file_name, write
from netgraft.models.losses.catalogue import make_loss
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.tasks.classification import TASK
from netgraft.tuning.train.schedule import Schedule
from netgraft.tuning.train.step import Learner, StepConfig
from netgraft.v1 import graph_pb2, surgery_pb2

os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras import layers

SHAPE = (32, 32, 3)


def sequential() -> Any:
    return keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax", name="predictions"),
        ]
    )


def functional() -> Any:
    given = keras.Input(SHAPE)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(given)
    y = layers.SeparableConv2D(8, 3, padding="same")(x)
    x = layers.Concatenate()([layers.Add()([x, y]) * 2.0, y])
    x = layers.LayerNormalization()(layers.GlobalAveragePooling2D()(x))
    return keras.Model(given, layers.Dense(5, activation="softmax")(x))


def transferred() -> Any:
    """As tutorials do it: a model without its top, and a new head."""
    base = keras.applications.MobileNet(
        weights=None, include_top=False, input_shape=SHAPE, alpha=0.25
    )
    return keras.Sequential([base, layers.GlobalAveragePooling2D(), layers.Dense(3)])


KINDS: dict[str, Callable[[], Any]] = {
    "sequential": sequential,
    "functional": functional,
    "transferred": transferred,
    "efficient": lambda: keras.applications.EfficientNetV2B0(
        weights=None, input_shape=SHAPE, classes=7
    ),
    "resnet": lambda: keras.applications.ResNet50(weights=None, input_shape=SHAPE, classes=7),
}
RESNET = pytest.param("resnet", marks=pytest.mark.slow)
"""It says what `functional` and `efficient` say, in half a minute."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    keras.utils.set_random_seed(0)
    for name in KINDS:
        if name != "resnet":
            save(name, folder)
    return folder


def save(name: str, folder: Path) -> None:
    if not (file := folder / f"{name}.keras").exists():
        keras.utils.clear_session()  # names count up in a process, whichever test is first
        KINDS[name]().save(file)


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


def opened(surgery: SurgeryServicer, name: str) -> Recipe:
    return resolve.resolve(name, "pretrained", surgery.store).recipe


def retargeted(surgery: SurgeryServicer, name: str, classes: int) -> Recipe:
    request = surgery_pb2.RetargetModelRequest(model=name, classes=classes)
    return get_recipe(surgery.store, surgery.RetargetModel(request).model.id)


@pytest.mark.parametrize("name", ["sequential", "functional", "transferred", "efficient", RESNET])
def test_it_answers_as_keras_does(name: str, saved: Path, surgery: SurgeryServicer) -> None:
    save(name, saved)
    recipe = opened(surgery, f"./{name}.keras")
    assert (bases.task(recipe.base), bases.input_shape(recipe.base)) == (
        "classification",
        (3, 32, 32),
    )
    x_NCHW = 255 * torch.rand(2, 3, 32, 32)
    own = keras.saving.load_model(saved / f"{name}.keras", compile=False)
    with torch.no_grad():
        wanted = own(x_NCHW.permute(0, 2, 3, 1), training=False)
        found = build(recipe, surgery.store).eval()(x_NCHW)
    if name != "transferred":  # whose last layer has no softmax
        found = found.softmax(1)
    assert torch.allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("sequential", ("predictions", 512, 10)),
        ("functional", ("dense", 16, 5)),
        ("transferred", ("dense", 256, 3)),
        pytest.param("resnet", ("predictions", 2048, 7), marks=pytest.mark.slow),
    ],
)
def test_its_head_is_found_replaced_and_drawn(
    name: str, head: tuple[str, int, int], saved: Path, surgery: SurgeryServicer
) -> None:
    save(name, saved)
    request = surgery_pb2.RetargetModelRequest(model=f"./{name}.keras", classes=4)
    reply = surgery.RetargetModel(request)
    (found,) = reply.heads
    assert (found.path, found.in_features, found.before, found.after) == (*head, 4)
    recipe = get_recipe(surgery.store, reply.model.id)
    before = build(recipe.parent, surgery.store).state_dict()
    module = build(recipe, surgery.store).eval()
    assert module(torch.rand(2, 3, 32, 32)).shape == (2, 4)
    kept = {n: v for n, v in module.state_dict().items() if not n.startswith(f"{head[0]}.")}
    assert all(torch.equal(value, before[name]) for name, value in kept.items())
    drawn = GraphsServicer(surgery.store).DrawGraph(
        graph_pb2.DrawGraphRequest(model=reply.model.id)
    )
    assert drawn.top_level_nodes >= 4


def test_it_learns_and_its_statistics_move_with_it(surgery: SurgeryServicer) -> None:
    recipe = retargeted(surgery, "./sequential.keras", 2)
    learner = Learner(
        build(recipe, surgery.store),
        TASK,
        make_loss("cross_entropy"),
        StepConfig(Schedule(0.01, 0, 60)),
        device=torch.device("cpu"),
    )
    before = {name: value.clone() for name, value in learner.module.state_dict().items()}
    torch.manual_seed(0)
    x, labels = 255 * torch.rand(8, 3, 32, 32), torch.arange(8) % 2
    x[labels == 1] /= 2
    losses = [float(learner.step((x, labels))) for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]
    moved = {n for n, v in learner.module.state_dict().items() if not torch.equal(v, before[n])}
    assert {"conv2d.kernel", "predictions.weight", "batch_normalization.running_mean"} <= moved


def test_pictures_are_given_as_its_own_layers_want_them(surgery: SurgeryServicer) -> None:
    rescaled = bases.preprocessing(opened(surgery, "./sequential.keras").base)
    plain = bases.preprocessing(opened(surgery, "./functional.keras").base)
    white = 1.0  # (x / 255 - mean) / std of a pixel of 255
    assert (white - rescaled.mean[0]) / rescaled.std[0] == pytest.approx(255)
    assert (white - plain.mean[0]) / plain.std[0] == pytest.approx(1)


@pytest.mark.parametrize("kind", ["state_dict", "safetensors", "pt2", "onnx", "torchscript"])
def test_it_is_exported_and_needs_keras_no_more(
    kind: str, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    recipe = retargeted(surgery, "./functional.keras", 4)
    file = tmp_path / file_name(recipe, kind)
    write(recipe, surgery.store, kind, file)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        wanted = build(recipe, surgery.store).eval()(x)
        if kind == "pt2":
            assert torch.allclose(torch.export.load(file).module()(x), wanted, atol=1e-5)
        if kind == "torchscript":
            assert torch.allclose(torch.jit.load(file)(x), wanted, atol=1e-5)
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(file)
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        assert torch.allclose(torch.from_numpy(found), wanted, atol=1e-4)
    with pytest.raises(CannotExport, match="onnx"):
        write(recipe, surgery.store, "python", tmp_path / "model.py")


# What is not Keras's own


def rewritten(saved: Path, folder: Path, change: Callable[[bytes], bytes], part: str) -> str:
    """A copy of a file in which one part of the archive is another."""
    with zipfile.ZipFile(saved / "sequential.keras") as old:
        parts = {name: old.read(name) for name in old.namelist()}
    parts[part] = change(parts[part])
    with zipfile.ZipFile(folder / "changed.keras", "w") as new:
        for name, data in parts.items():
            new.writestr(name, data)
    return str(folder / "changed.keras")


def renamed(old: str, new: dict[str, object]) -> Callable[[bytes], bytes]:
    """Changes what a configuration says of the first part of a class."""

    def change(data: bytes) -> bytes:
        config = json.loads(data)
        part = next(p for p in config["config"]["layers"] if p["class_name"] == old)
        part |= new
        return json.dumps(config).encode()

    return change


@pytest.mark.parametrize(
    "new",
    [
        {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__"}}},
        {"module": "os", "class_name": "system"},
        {"module": "builtins", "class_name": "eval"},
        {"module": "keras.src.utils.file_utils", "class_name": "get_file"},
        {"registered_name": "my>Custom"},
        {"class_name": "TorchModuleWrapper"},
        {"class_name": "TFSMLayer", "config": {"filepath": "/tmp/evil"}},
        {"module": None},
        {"class_name": ["a"]},
    ],
)
def test_what_is_not_keras_own_is_drawn_and_never_built(
    new: dict[str, object], saved: Path, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    file = rewritten(saved, tmp_path, renamed("ReLU", new), "config.json")
    recipe = opened(surgery, file)
    with pytest.raises(OnlyDrawn):
        build(recipe, surgery.store)


DEEP = b"[" * 5000 + b"]" * 5000

HOSTILE: list[tuple[str, dict[str, Any]]] = [
    ("Dense", {"units": 10**8}),
    ("Dense", {"units": 10**12}),
    ("Dense", {"units": -1}),
    ("Dense", {"units": "10"}),
    ("Dense", {"units": float("nan")}),
    ("Dense", {"activation": "no_such_activation"}),
    ("Dense", {"kernel_initializer": {"class_name": "NoSuch", "module": "keras.initializers"}}),
    ("Conv2D", {"filters": 10**7}),
    ("Conv2D", {"kernel_size": [10**5, 10**5]}),
    ("Conv2D", {"strides": 0}),
    ("Conv2D", {"data_format": "nonsense"}),
    ("Conv2D", {"name": "_held"}),
    ("InputLayer", {"batch_shape": [None, 10**6, 10**6, 3]}),
    ("InputLayer", {"batch_shape": "x"}),
    ("InputLayer", {"dtype": "no-such"}),
]


@pytest.mark.parametrize(("kind", "said"), HOSTILE, ids=[f"{k}-{s}"[:40] for k, s in HOSTILE])
def test_layers_that_nobody_could_build_are_refused_or_only_drawn(
    kind: str, said: dict[str, Any], saved: Path, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    def change(data: bytes) -> bytes:
        config = json.loads(data)
        part = next(p for p in config["config"]["layers"] if p["class_name"] == kind)
        part["config"] |= said
        part.pop("build_config", None)
        return json.dumps(config).encode()

    file = rewritten(saved, tmp_path, change, "config.json")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((UnsupportedFile, OnlyDrawn)):
        build(opened(surgery, file), surgery.store)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 500_000, "KiB, though it asks for terabytes"


@pytest.mark.parametrize(
    "new",
    [
        {"class_name": "StringLookup", "config": {"vocabulary": "/etc/hostname"}},
        {"class_name": "IntegerLookup", "config": {"vocabulary": "/etc/hostname"}},
        {"class_name": "__typespec__", "spec_name": "system", "module": "os", "config": []},
        {"config": {"kernel_initializer": {"class_name": "__lambda__", "config": {"value": "x"}}}},
        {"config": {"activation": {"class_name": "function", "module": "os", "config": "system"}}},
        {"config": {"deep": "DEEP"}},
    ],
    ids=lambda new: str(new)[:30],
)
def test_what_reads_or_runs_something_is_drawn_and_never_built(
    new: dict[str, object], saved: Path, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    def change(data: bytes) -> bytes:
        config = json.loads(data)
        next(p for p in config["config"]["layers"] if p["class_name"] == "ReLU").update(new)
        return json.dumps(config).encode().replace(b'"DEEP"', DEEP)

    with pytest.raises((OnlyDrawn, UnsupportedFile)):
        build(opened(surgery, rewritten(saved, tmp_path, change, "config.json")), surgery.store)


def test_a_model_of_very_many_layers_is_drawn_and_not_built(
    saved: Path, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    def change(data: bytes) -> bytes:
        config = json.loads(data)
        layers = config["config"]["layers"]
        relu = next(p for p in layers if p["class_name"] == "ReLU")
        for index in range(20_000):
            layers.insert(-1, relu | {"config": relu["config"] | {"name": f"relu_{index}"}})
        return json.dumps(config).encode()

    file = rewritten(saved, tmp_path, change, "config.json")
    with pytest.raises(OnlyDrawn):
        build(opened(surgery, file), surgery.store)


def test_assets_are_not_unpacked(saved: Path, surgery: SurgeryServicer, tmp_path: Path) -> None:
    with zipfile.ZipFile(saved / "sequential.keras") as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(tmp_path / "more.keras", "w") as new:
        for name, data in parts.items():
            new.writestr(name, data)
        for name in ("assets/../../evil", "assets/x/vocabulary.txt", "../evil"):
            new.writestr(name, "evil")
    build(opened(surgery, str(tmp_path / "more.keras")), surgery.store)
    assert not list(tmp_path.parent.rglob("evil"))


def linked(make: Callable[[h5py.File], None]) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        buffer = io.BytesIO(data)
        with h5py.File(buffer, "r+") as file:
            make(file)
        return buffer.getvalue()

    return change


def outside(file: h5py.File) -> None:
    file["evil"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft(file: h5py.File) -> None:
    file["evil"] = h5py.SoftLink("/layers")


def external(file: h5py.File) -> None:
    file.create_dataset("evil", (4,), "uint8", external=[("/etc/passwd", 0, 4)])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (linked(outside), UnsafeFile),
        (linked(soft), UnsafeFile),
        (linked(external), UnsafeFile),
        (lambda data: data[:-2000], UnsupportedFile),
        (lambda _: b"no weights", UnsupportedFile),
    ],
)
def test_weights_that_reach_outside_or_are_damaged_are_refused(
    change: Callable[[bytes], bytes],
    error: type[NetgraftError],
    saved: Path,
    surgery: SurgeryServicer,
    tmp_path: Path,
) -> None:
    with pytest.raises(error):
        opened(surgery, rewritten(saved, tmp_path, change, "model.weights.h5"))
    assert not surgery.store.names("files")


def test_without_keras_the_file_is_drawn_as_it_is(
    surgery: SurgeryServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "netgraft.models.sources.keras.archive.find_spec",
        lambda n: None if n == "keras" else found(n),
    )
    recipe = opened(surgery, "./sequential.keras")
    drawn = GraphsServicer(surgery.store).DrawGraph(graph_pb2.DrawGraphRequest(model=recipe.id))
    assert drawn.method == "file"
    with pytest.raises(OnlyDrawn):
        build(recipe, surgery.store)
