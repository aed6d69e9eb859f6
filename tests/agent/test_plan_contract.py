"""The sentences that the plan's contract itself names, and those of the first issue."""

from typing import Any

import pytest

from netgraft.agent import plan_batch

ADAPT = "show resnet50, retarget to 100 classes"
TRAINED: list[dict[str, Any]] = [
    {"show": {"model": "resnet50"}},
    {"retarget": {"model": "resnet50", "classes": 100}},
    {
        "finetune": {
            "model": "$2",
            "data": "./flowers",
            "epochs": 5,
            "lr": 0.01,
            "workers": 2,
        }
    },
]

CASES: list[tuple[list[str], list[dict[str, Any]]]] = [
    (
        [
            "show resnet50, retarget to 100 classes, "
            "fine-tune on ./flowers for 5 epochs with lr 0.01 and 2 workers"
        ],
        TRAINED,
    ),
    (
        ["show mobilenet_v2, retarget to 10 classes, fine-tune on digits for 2 epochs"],
        [
            {"show": {"model": "mobilenet_v2"}},
            {"retarget": {"model": "mobilenet_v2", "classes": 10}},
            {"finetune": {"model": "$2", "data": "digits", "epochs": 2}},
        ],
    ),
    ([ADAPT], TRAINED[:2]),
    (["show ./net.onnx"], [{"show": {"model": "./net.onnx"}}]),
    (["显示 ./我的模型.pth"], [{"show": {"model": "./我的模型.pth"}}]),
    (
        ["retarget ./best.pth to 5 classes, fine-tune on digits"],
        [
            {"retarget": {"model": "./best.pth", "classes": 5}},
            {"finetune": {"model": "$1", "data": "digits"}},
        ],
    ),
    (["compare ./a.pth with ./b.pth"], [{"compare": {"a": "./a.pth", "b": "./b.pth"}}]),
    (["export ./a.pth as onnx"], [{"export": {"model": "./a.pth", "format": "onnx"}}]),
    (["save resnet50 as net.onnx"], [{"export": {"model": "resnet50", "format": "onnx"}}]),
    (
        [ADAPT + ", fine-tune on ./flowers"],
        [*TRAINED[:2], {"finetune": {"model": "$2", "data": "./flowers"}}],
    ),
    (["把它在 digits 上微调 1 轮"], [{"finetune": {"data": "digits", "epochs": 1}}]),
    (["把resnet50改成100类"], [{"retarget": {"model": "resnet50", "classes": 100}}]),
    (["compare it with resnet101"], [{"compare": {"b": "resnet101"}}]),
    (["freeze the backbone"], [{"freeze": {"layers": ["backbone"]}}]),
    (["undo"], [{"undo": {}}]),
    (["export it as onnx"], [{"export": {"format": "onnx"}}]),
    (["how many parameters has vgg16"], [{"inspect": {"model": "vgg16"}}]),
    (
        ["list segmentation models under 50M params"],
        [{"list_models": {"task": "segmentation", "max_params": 50_000_000}}],
    ),
    (["cancel it"], [{"cancel": {}}]),
    (["status"], [{"status": {}}]),
    (["don't freeze anything"], [{"unfreeze": {"layers": ["all"]}}]),
    ([ADAPT, "no, 10 classes"], [TRAINED[0], {"retarget": {"model": "resnet50", "classes": 10}}]),
    (
        ["把resnet50改成100类", "不对,是10类"],
        [{"retarget": {"model": "resnet50", "classes": 10}}],
    ),
    (
        ["fine-tune resnet50 for 10 classes on ./data"],
        [
            {"retarget": {"model": "resnet50", "classes": 10}},
            {"finetune": {"model": "$1", "data": "./data"}},
        ],
    ),
    (
        ["before training on digits, freeze the backbone"],
        [{"freeze": {"layers": ["backbone"]}}, {"finetune": {"model": "$1", "data": "digits"}}],
    ),
    (
        ["train on digits with focal loss"],
        [{"finetune": {"data": "digits", "loss": "focal"}}],
    ),
    (
        ["set the loss to focal, then train on digits"],
        [{"set_loss": {"loss": "focal"}}, {"finetune": {"model": "$1", "data": "digits"}}],
    ),
    (
        ["list segmentation models under 50M params", "only those under 20M"],
        [{"list_models": {"task": "segmentation", "max_params": 20_000_000}}],
    ),
    (
        [ADAPT, "same for resnet34"],
        [
            {"show": {"model": "resnet34"}},
            {"retarget": {"model": "resnet34", "classes": 100}},
        ],
    ),
    (["the graph as an svg file"], [{"export": {"format": "svg"}}]),
    (
        ["train on digits on 2 GPUs"],
        [{"finetune": {"data": "digits", "workers": 2, "device": "gpu"}}],
    ),
    (["linear probe on digits"], [{"finetune": {"data": "digits", "strategy": "probe"}}]),
    (["train it end to end on digits"], [{"finetune": {"data": "digits", "strategy": "full"}}]),
    (
        ["把resnet50改成猫、狗和鸟"],
        [{"retarget": {"model": "resnet50", "class_names": ["猫", "狗", "鸟"]}}],
    ),
    (["cancel tune-20261123-7f3a9c"], [{"cancel": {"job": "tune-20261123-7f3a9c"}}]),
]


@pytest.mark.parametrize(("turns", "steps"), CASES, ids=[turns[-1] for turns, _ in CASES])
def test_a_sentence_of_the_contract_becomes_its_plan(
    turns: list[str], steps: list[dict[str, Any]]
) -> None:
    reply = plan_batch(turns)
    assert reply["kind"] == "plan"
    assert reply["steps"] == steps


def test_a_training_plan_says_that_defaults_will_be_filled_in() -> None:
    assert plan_batch(["fine-tune resnet50 on digits"])["assumptions"]


def test_resnet500_is_not_resnet50() -> None:
    reply = plan_batch(["show resnet500"])
    assert reply["kind"] == "clarify"
    assert "resnet500" in reply["question"]
    assert 1 <= len(reply["options"]) <= 3


def test_mobilenetv3_is_two_models() -> None:
    reply = plan_batch(["show mobilenetv3"])
    assert reply["kind"] == "clarify"
    assert {"mobilenet_v3_large", "mobilenet_v3_small"} <= set(reply["options"])


def test_a_word_that_nobody_knows_is_named_in_the_question() -> None:
    assert "frobnicate" in plan_batch(["frobnicate resnet50"])["question"]
    assert "捣鼓" in plan_batch(["把resnet50捣鼓一下"])["question"]


def test_a_chinese_sentence_gets_a_chinese_question() -> None:
    assert "哪个数据集" in plan_batch(["微调resnet50"])["question"]
    assert "Which data set" in plan_batch(["fine-tune resnet50"])["question"]
