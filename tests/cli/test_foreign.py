"""Every command does with a server what it does without one, wherever the user is.

The server runs in a process of its own, in another folder, and may not read the user's.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torchvision
from onnx import TensorProto, helper
from PIL import Image
from safetensors.torch import save_file

from netgraft.running import find
from netgraft.settings import settings
from netgraft.store.store import default_store

from .conftest import Run
from .server import serving_apart

TIMES = ("seconds", "create_time", "time")


class Place(NamedTuple):
    """A folder with a user's files, and the state of a server that may not read it."""

    mine: Path
    served: Path
    address: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    base = tmp_path_factory.mktemp("foreign")
    theirs, state = base / "theirs", base / "state"
    theirs.mkdir()
    fill(base / "mine")
    with serving_apart(state, theirs) as address:
        yield Place(base / "mine", state, address)
    assert not (state / "server.json").exists()


def fill(folder: Path) -> None:
    """Models' files and pictures, in a folder and outside of it."""
    folder.mkdir()
    torch.manual_seed(0)
    model = torchvision.models.squeezenet1_1(num_classes=12).eval()
    torch.save(model, folder / "net.pth")
    torch.save(model.state_dict(), folder.parent / "outside.pth")
    save_file(model.state_dict(), folder / "net.safetensors")
    exported = torch.export.export(torch.nn.Sequential(torch.nn.ReLU()), (torch.zeros(2, 3),))
    torch.export.save(exported, folder / "net.pt2")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, [1])],
    )
    (folder / "net.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    for name, colour in (("cat", (200, 0, 0)), ("dog", (0, 0, 200))):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(4):
            picture = Image.new("RGB", (48, 40), (*colour[:2], colour[2] + number))
            picture.save(folder / "pictures" / name / f"{number}.png")


Both = Callable[..., tuple[Any, Any]]


@pytest.fixture
def both(run: Run, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    """What a command says at the server, and what it says without one and with another state."""
    monkeypatch.chdir(place.mine)

    def forget() -> None:
        settings.cache_clear()
        default_store.cache_clear()

    def ask(words: tuple[str, ...], state: Path) -> Any:
        forget()
        result = run(*words, "--json", env={"NETGRAFT_STATE": str(state)})
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        return result.exit_code, [without_times(line) for line in lines]

    def answers(*words: str) -> tuple[Any, Any]:
        return ask(words, place.served), ask((*words, "--local"), tmp_path / "alone")

    yield answers
    forget()


def without_times(shown: Any) -> Any:
    """A reply without what differs from one call to the next; of an error, its reason."""
    if isinstance(shown, list):
        return [without_times(item) for item in shown]
    if not isinstance(shown, dict):
        return shown
    if set(shown) == {"error"}:
        return shown["error"]["reason"]
    return {key: without_times(value) for key, value in shown.items() if key not in TIMES}


@pytest.mark.parametrize(
    "line",
    [
        "show ./net.pth",
        "show net.safetensors",
        "show ./net.pt2",
        "show ./net.onnx",
        "show ./net.pth -o seen.json --force",
        "inspect ./net.pth",
        "diff ./net.pth ./net.safetensors",
        "retarget ./net.pth --classes 3",
        "retarget ./net.pth --data ./pictures",
        "retarget ./net.pth --data pictures",
        "freeze ./net.pth backbone",
        "unfreeze ./net.pth head",
        "set-loss ./net.pth focal",
        "replace ./net.pth features.1 GELU",
        "dropout ./net.pth 0.3",
        "export ./net.pth -o out.safetensors --force",
        "upload net.pth",
        "models resnet18",
        "jobs",
        "plan retarget",
    ],
)
def test_a_command_outside_the_roots_does_the_same_as_without_a_server(
    both: Both, line: str
) -> None:
    served, alone = both(*line.split())
    assert served == alone
    assert served[0] == 0
    assert served[1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("show ./missing.pth", "NO_SUCH_FILE"),
        ("show ../outside.pth", "OUTSIDE_DATA_ROOTS"),
        ("inspect ./net.onnx", "ONLY_DRAWN"),
        ("undo ./net.pth", "NOTHING_TO_UNDO"),
        ("retarget ./net.pth --data ./nowhere", "DATA_NOT_FOUND"),
        ("retarget ./net.pth --data ..", "OUTSIDE_DATA_ROOTS"),
        ("status tune-1", "UNKNOWN_JOB"),
    ],
)
def test_a_command_outside_the_roots_fails_as_without_a_server(
    both: Both, line: str, reason: str
) -> None:
    assert both(*line.split()) == ((1, [reason]), (1, [reason]))


def test_the_server_that_runs_is_found_and_may_not_read_the_folder(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_STATE", str(place.served))
    settings.cache_clear()
    found = find()
    assert found is not None
    assert found.address == place.address
    assert not found.reads(place.mine)
    settings.cache_clear()


def test_a_plan_outside_the_roots_is_carried_out_as_without_a_server(both: Both) -> None:
    sentence = "show ./net.pth, retarget it to 3 classes"
    served, alone = both("do", sentence, "--conversation", "mine")
    assert served[0] == alone[0] == 0
    finished = [[line for line in shown[1] if "finished" in line] for shown in (served, alone)]
    assert finished[0] == finished[1]
    assert [line["finished"]["index"] for line in finished[0]] == [1, 2]


def test_a_hugging_face_folder_is_opened_as_without_a_server(both: Both, place: Place) -> None:
    from transformers import ViTConfig, ViTForImageClassification

    small = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
    )
    ViTForImageClassification(small).save_pretrained(place.mine / "vit")
    served, alone = both("inspect", "./vit")
    assert served == alone
    assert served[0] == 0


def test_what_the_server_may_read_is_neither_sent_nor_copied(
    run: Run, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.mine.parent / "theirs")
    Path("deep").mkdir()
    Path("deep", "net.pth").write_bytes((place.mine / "net.pth").read_bytes())
    monkeypatch.chdir("deep")
    environment = {"NETGRAFT_STATE": str(place.served)}
    shown = run("do", "show ./net.pth", "--json", env=environment).stdout.splitlines()
    started = json.loads(shown[1])["started"]
    assert started["step"]["show"]["model"] == str(Path("net.pth").resolve())
