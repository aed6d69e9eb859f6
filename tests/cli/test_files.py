"""A model's file on the command line, in this process and at a server."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from onnx import TensorProto, helper

from netgraft.settings import settings

from .conftest import Run
from .server import serving

Reply = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a state dict, an ONNX file and a file outside beside it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    torch.save(torchvision.models.squeezenet1_1().state_dict(), folder / "best.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "outside.pth")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, [1])],
    )
    (folder / "net.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    yield folder
    monkeypatch.undo()
    settings.cache_clear()


def test_a_file_is_shown_and_edited_like_a_name(run: Run, reply: Reply, folder: Path) -> None:
    shown = reply("show", "./best.pth")
    assert (shown["method"], shown["parameters"]) == ("export", 1_235_496)
    edited = reply("retarget", "./best.pth", "--classes", "5")
    assert edited["heads"][0]["after"] == 5
    assert "squeezenet1_1" in run("show", "./best.pth").stderr


def test_notices_are_shown_in_chinese(run: Run, folder: Path) -> None:
    assert "结构" in run("show", "./best.pth", "--language", "zh").stderr
    assert "结构" not in run("show", "./best.pth", "--language", "en").stderr


def test_other_files_are_shown_as_they_are(run: Run, reply: Reply, folder: Path) -> None:
    assert reply("show", "./net.onnx")["method"] == "file"
    for words in (["inspect", "net.onnx"], ["show", "net.onnx", "-o", "out.onnx"]):
        result = run(*words)
        assert result.exit_code != 0
        assert "ONLY_DRAWN" in result.stderr


def test_a_server_opens_files_below_its_roots_only(
    run: Run, reply: Reply, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(folder))
    settings.cache_clear()
    with serving() as address:
        there = ("--server", address)
        assert reply("show", "./net.onnx", *there)["method"] == "file"
        (folder / "deep").mkdir()
        (folder / "deep" / "net.onnx").write_bytes((folder / "net.onnx").read_bytes())
        monkeypatch.chdir(folder / "deep")
        shown = reply("show", "./net.onnx", *there)
        assert shown["method"] == "file", "the user's folder counts, not the server's"
        monkeypatch.chdir(folder)
        refused = run("show", "../outside.pth", *there)
        assert refused.exit_code != 0
        assert "OUTSIDE_DATA_ROOTS" in refused.stderr


def test_a_sentence_shows_a_file(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(folder))
    settings.cache_clear()
    with serving() as address:
        output = run("do", "show ./net.onnx, then show ./best.pth", "--server", address)
    assert output.exit_code == 0, output.output
    assert "net.onnx" in output.output
    assert "squeezenet1_1" in output.output
