"""show and diff, in this process and at a server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from google.protobuf.json_format import Parse

from .conftest import Run
from .server import serving

Reply = Callable[..., Any]


def test_show_says_what_the_graph_holds_and_how_to_see_it(run: Run) -> None:
    result = run("show", "resnet18")
    assert result.exit_code == 0, result.output
    assert "11,689,512" in result.stdout
    assert "netgraft show MODEL -o graph.onnx" in result.stdout


def test_the_graph_is_written_for_netron(run: Run, reply: Reply, tmp_path: Path) -> None:
    document, text = tmp_path / "g.onnx", tmp_path / "g.json"
    graph = reply("show", "resnet18", "-o", str(document))
    assert document.stat().st_size == graph["document_bytes"]
    model = onnx.load(str(document), load_external_data=False)
    assert len(model.graph.node) == graph["top_level_nodes"]
    assert run("show", "resnet18", "-o", str(text)).exit_code == 0
    assert Parse(text.read_text(), onnx.ModelProto()) == model


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["show", "resnet18", "-o", "graph.bmp"], "INVALID_VALUE"),
        (["show", "resnet18", "-o", __file__ + ".json/x.onnx"], "NOT_POSSIBLE"),
        (["show", "resnet18", "--focus", "layer9"], "UNKNOWN_MODULE"),
        (["show", "resnet500"], "UNKNOWN_MODEL"),
        (["diff", "resnet18", "resnet500"], "UNKNOWN_MODEL"),
    ],
)
def test_what_cannot_be_shown_is_said(run: Run, words: list[str], reason: str) -> None:
    result = run(*words)
    assert result.exit_code == 1, result.output
    assert result.stderr.endswith(f"({reason})\n")


def test_a_graph_that_is_there_stays_unless_forced(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "g.onnx"
    file.write_text("mine")
    assert "(WOULD_OVERWRITE)" in run("show", "resnet18", "-o", str(file)).stderr
    assert file.read_text() == "mine"
    assert run("show", "resnet18", "-o", str(file), "--force").exit_code == 0
    assert file.read_text(errors="replace") != "mine"


def test_diff_says_what_an_edit_changed(run: Run, reply: Reply) -> None:
    edited = reply("retarget", "resnet18", "--classes", "10")["model"]["id"]
    found = reply("diff", "resnet18", edited)
    assert [item["path"] for item in found["differences"]] == ["fc"]
    assert found["differences"][0]["kind"] == "KIND_CHANGED"
    told = run("diff", "resnet18", edited).stdout.splitlines()
    row = next(line for line in told if line.split()[:1] == ["fc"])
    assert "Linear(512 → 1000)" in row
    assert "Linear(512 → 10)" in row
    assert "No difference." in run("diff", "resnet18", "resnet18").stdout


def test_at_a_server_show_prints_the_pages_address(run: Run, state: Path) -> None:
    with serving("models", "graphs", "surgery") as address:
        shown = run("show", "resnet18", "--focus", "layer4", "--server", address)
        graph = json.loads(run("show", "resnet18", "--json", "--server", address).stdout)
    assert shown.exit_code == 0, shown.output
    page = f"http://127.0.0.1:7860/viz/{graph['model_id']}/?focus=layer4"
    assert page in shown.stdout
