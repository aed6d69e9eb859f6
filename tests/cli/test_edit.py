"""retarget, freeze, set-loss, undo, inspect: real models, in this process, no server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run

Reply = Callable[..., Any]


def test_retarget_takes_the_input_size_of_the_head_from_the_model(reply: Reply) -> None:
    done = reply("retarget", "resnet18", "--classes", "10")
    assert done["heads"] == [
        {"path": "fc", "type": "Linear", "in_features": 512, "before": 1000, "after": 10}
    ]
    assert done["parameters_before"] - done["parameters_after"] == 990 * 513
    assert len(done["model"]["id"]) == 64


def test_an_edited_model_is_edited_again_and_the_edit_undone(reply: Reply) -> None:
    first = reply("retarget", "resnet18", "--names", "cat, dog,bird")["model"]
    assert (first["classes"], first["class_names"]) == (3, ["cat", "dog", "bird"])
    assert reply("retarget", "resnet18", "--classes", "cat,dog, bird")["model"]["id"] == first["id"]
    frozen = reply("freeze", first["id"][:12], "backbone")
    assert frozen["trainable_after"] == 3 * 513
    freed = reply("unfreeze", frozen["model"]["id"], "layer4")
    assert freed["trainable_after"] > frozen["trainable_after"]
    focal = reply("set-loss", freed["model"]["id"], "focal")
    assert focal["model"]["loss"] == "focal"
    assert reply("undo", focal["model"]["id"])["model"]["id"] == freed["model"]["id"]


def test_classes_that_the_model_knows_keep_their_weights(
    run: Run, torch_home_with_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(torch_home_with_weights))
    words = ("retarget", "mobilenet_v2", "--class-names", "tabby,beagle,fox")
    assert "2 of 3 classes keep their weights (tabby, beagle)." in run(*words).stdout
    mapped = run(*words, "--map", "fox=red_fox", "--init", "zeros")
    assert "3 of 3 classes keep their weights (tabby, beagle, fox from red fox)." in mapped.stdout
    zh = run(*words, "--language", "zh")
    assert "3 个类别中有 2 个保留权重" in zh.stdout
    assert run(*words, "--map", "fox").exit_code == 2


def test_a_module_is_replaced_by_a_layer(run: Run, reply: Reply) -> None:
    words = ("replace", "resnet18", "layer1.0.relu", "GELU", "--arg", "approximate=tanh")
    assert "layer1.0.relu: ReLU → GELU(approximate='tanh')." in run(*words).stdout
    norm = reply(
        "replace",
        "resnet18",
        "bn1",
        "GroupNorm",
        "--arg",
        "num_groups=8",
        "--arg",
        "num_channels=64",
    )
    assert norm["parameters_after"] == norm["parameters_before"]


def test_dropout_is_set_before_the_head(run: Run) -> None:
    assert "Dropout(0.3) before fc." in run("dropout", "resnet18", "0.3").stdout
    assert (
        "fc 之前加入 Dropout(0.3)。" in run("dropout", "resnet18", "0.3", "--language", "zh").stdout
    )


def test_the_text_shows_the_head_before_and_after(run: Run) -> None:
    result = run("retarget", "mobilenet_v2", "--classes", "10")
    assert result.exit_code == 0
    first, *rest = result.stdout.splitlines()
    assert first.startswith("classifier.1: Linear(1280 → 1000) → Linear(1280 → 10)")
    row = next(line for line in rest if "classifier.1" in line)
    assert row.split() == ["classifier.1", "Linear", "1280", "1000", "10"]
    assert "\x1b" not in result.stdout


def test_random_weights_on_request_are_reported_once(run: Run) -> None:
    result = run("retarget", "resnet18", "--classes", "10", "--weights", "none", "--json")
    assert json.loads(result.stdout)["model"]["base"] == "torchvision/resnet18@none"
    assert result.stderr.count("random weights") == 1


def test_a_model_given_by_its_id_prints_no_notice_again(run: Run) -> None:
    made = run("retarget", "resnet18", "--classes", "10", "--weights", "none", "--json")
    model = json.loads(made.stdout)["model"]["id"]
    for again in (("freeze", model, "backbone"), ("inspect", model[:12]), ("undo", model)):
        result = run(*again)
        assert result.exit_code == 0, result.output
        assert "random weights" not in result.stderr


def test_inspect_says_heads_parameters_and_flops(run: Run, reply: Reply) -> None:
    found = reply("inspect", "resnet18")
    assert found["parameters"] == 11_689_512
    assert found["input_shape"] == [3, 224, 224]
    assert found["heads"][0]["in_features"] == 512
    shown = run("inspect", "resnet18").stdout
    assert "11,689,512" in shown
    assert "3 × 224 × 224" in shown


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["retarget", "resnet18", "--classes", "0"], "INVALID_CLASSES"),
        (["retarget", "resnet18", "--classes=-5"], "INVALID_CLASSES"),
        (["retarget", "resnet18", "--classes", "1000000000"], "INVALID_CLASSES"),
        (["retarget", "resnet18", "--classes", "99999999999999999999"], "INVALID_CLASSES"),
        (["retarget", "resnet18", "--classes", "2.5"], "INVALID_CLASSES"),
        (["retarget", "resnet18", "--classes", "ten"], "INVALID_CLASSES"),
        (["retarget", "resnet18", "--classes", "cat,cat"], "INVALID_VALUE"),
        (["retarget", "resnet18", "--classes", "cat,,dog"], "INVALID_VALUE"),
        (["retarget", "resnet18", "--class-names", "a,b,a"], "INVALID_VALUE"),
        (["retarget", "resnet18", "--class-names", "a,,b"], "INVALID_VALUE"),
        (["retarget", "resnet18", "--class-names", "a,b", "--classes", "3"], "INVALID_VALUE"),
        (["retarget", "resnet18", "--class-names", "a,b", "--map", "a=lion cub"], "UNKNOWN_CLASS"),
        (["retarget", "resnet18", "--class-names", "a,b", "--map", "c=lion"], "INVALID_VALUE"),
        (["retarget", "resnet18", "--classes", "2", "--init", "ones"], "INVALID_VALUE"),
        (["retarget", "resnet500", "--classes", "10"], "UNKNOWN_MODEL"),
        (["inspect", "deadbeefdeadbeef"], "UNKNOWN_MODEL"),
        (["freeze", "resnet18", "layer9"], "UNKNOWN_MODULE"),
        (["replace", "resnet18", "fc", "Identity"], "EDIT_FAILED"),
        (["replace", "resnet18", "bn1", "GroupNorn"], "INVALID_VALUE"),
        (["dropout", "resnet18", "1.5"], "INVALID_VALUE"),
        (["set-loss", "resnet18", "wishful"], "INVALID_VALUE"),
        (["set-loss", "resnet18", "dice"], "INVALID_VALUE"),
        (["freeze", "resnet18", "layer[7-9]"], "UNKNOWN_MODULE"),
        (["lora", "resnet18", "--alpha", "0"], "INVALID_VALUE"),
        (["lora", "resnet18", "--alpha=-1"], "INVALID_VALUE"),
        (["lora", "resnet18", "--dropout", "1"], "INVALID_VALUE"),
        (["lora", "resnet18", "--targets", "layer9*"], "UNKNOWN_MODULE"),
        (["lora", "resnet18", "--targets", "fc"], "EDIT_FAILED"),
        (["undo", "resnet18"], "NOTHING_TO_UNDO"),
    ],
)
def test_bad_input_gets_its_reason_and_exit_code_1(run: Run, words: list[str], reason: str) -> None:
    result = run(*words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith(f"({reason})\n")
    assert json.loads(run(*words, "--json").stdout)["error"]["reason"] == reason


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["retarget", "resnet18"], "--classes N"),
        (["retarget", "resnet18", "--init", "class_means"], "--data"),
        (["lora", "resnet18", "--rank", "0"], "0"),
        (["lora", "resnet18", "--rank", "2.5"], "2.5"),
    ],
)
def test_an_unknown_command_gets_exit_code_2_and_says_what_is_wrong(
    run: Run, words: list[str], shown: str
) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert shown in result.stderr


def test_a_summary_says_where_adapters_are_and_what_trains(run: Run, reply: Reply) -> None:
    words = ("lora", "resnet18", "--rank", "4", "--targets", "layer4", "--weights", "none")
    made = reply(*words)
    assert made["trainable_after"] < made["trainable_before"]
    shown = run(*words).stdout
    assert "LoRA adapters of rank 4 beside 5 layers" in shown
    assert reply("undo", made["model"]["id"])["model"]["id"] == made["model"]["parent_id"]
