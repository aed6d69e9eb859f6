"""show and diff, in this process and at a server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from .conftest import Run
from .server import serving

Reply = Callable[..., Any]


def test_show_says_what_the_graph_holds_and_how_to_see_it(run: Run) -> None:
    result = run("show", "resnet18")
    assert result.exit_code == 0, result.output
    assert "11,689,512" in result.stdout
    assert "netgraft show MODEL -o graph.html" in result.stdout


def test_the_starting_weights_are_stated_in_the_language_asked_for(run: Run, state: Path) -> None:
    words = ["inspect", "squeezenet1_1", "--weights", "none"]
    output = run(*words, "--language", "zh").stderr
    assert output == "! squeezenet1_1 从随机权重开始。\n"
    # Stored above, and read in the other language.
    assert run(*words).stderr == "! squeezenet1_1 starts from random weights.\n"


def test_the_graph_is_written_for_netron(run: Run, reply: Reply, tmp_path: Path) -> None:
    document, text = tmp_path / "g.onnx", tmp_path / "g.json"
    graph = reply("show", "resnet18", "-o", str(document))
    assert document.stat().st_size == graph["document_bytes"]
    model = onnx.load(str(document), load_external_data=False)
    assert len(model.graph.node) == graph["top_level_nodes"]
    assert run("show", "resnet18", "-o", str(text)).exit_code == 0
    hierarchy = json.loads(text.read_text())
    assert len(hierarchy["nodes"]) == graph["top_level_nodes"]


def test_the_graph_is_written_as_a_page_and_as_a_picture(run: Run, tmp_path: Path) -> None:
    page, picture = tmp_path / "g.html", tmp_path / "g.svg"
    assert run("show", "squeezenet1_1", "-o", str(page), "--lens", "flops").exit_code == 0
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert run("show", "squeezenet1_1", "-o", str(picture), "--open", "features").exit_code == 0
    assert "Fire" in picture.read_text()


def test_inspect_lists_the_modules_to_the_given_depth(run: Run, reply: Reply) -> None:
    result = run("inspect", "resnet18", "--depth", "2", "--batch", "4")
    assert result.exit_code == 0, result.output
    for text in ("layer1", "BasicBlock", "N×64×56×56", "AdaptiveAvgPool2d"):
        assert text in result.stdout
    found = {
        row.get("path", ""): row for row in reply("inspect", "resnet18", "--depth", "0")["modules"]
    }
    assert found["layer4.1.conv2"]["parameters"] == 512 * 512 * 9
    assert found[""]["flops"] == reply("inspect", "resnet18")["flops"]


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
def test_a_graph_that_cannot_be_shown_is_reported(run: Run, words: list[str], reason: str) -> None:
    result = run(*words)
    assert result.exit_code == 1, result.output
    assert result.stderr.endswith(f"({reason})\n")


def test_an_existing_graph_is_kept_unless_forced(run: Run, tmp_path: Path) -> None:
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
    output = run("diff", "resnet18", edited).stdout.splitlines()
    row = next(line for line in output if line.split()[:1] == ["fc"])
    assert "Linear(512 → 1000)" in row
    assert "Linear(512 → 10)" in row
    assert "No difference." in run("diff", "resnet18", "resnet18").stdout


def test_at_a_server_show_prints_the_pages_address(run: Run, state: Path) -> None:
    with serving() as address:
        shown = run("show", "resnet18", "--focus", "layer4", "--server", address)
        graph = json.loads(run("show", "resnet18", "--json", "--server", address).stdout)
    assert shown.exit_code == 0, shown.output
    page = f"http://127.0.0.1:7860/viz/{graph['model_id']}/?focus=layer4"
    assert page in shown.stdout


def test_at_a_server_diff_prints_the_compare_pages_address(
    run: Run, reply: Reply, state: Path
) -> None:
    with serving() as address:
        found = reply("diff", "resnet18", "resnet34", "--server", address)
        shown = run("diff", "resnet18", "resnet34", "--server", address)
    assert shown.exit_code == 0, shown.output
    assert f"http://127.0.0.1:7860{found['page']}" in shown.stdout
    assert found["page"] == f"/viz/compare/{found['a_id']}/{found['b_id']}/"
    assert "/viz/" not in run("diff", "resnet18", "resnet34").stdout
