"""Plan files, in JSON and in YAML."""

import json
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from netgraft.cli.planfile import read_plan
from netgraft.cli.terminal.card import card_lines
from netgraft.cli.terminal.language import choose_language
from netgraft.errors import InvalidValue

STEPS = [
    {"show": {"model": "resnet18"}},
    {"retarget": {"model": "resnet18", "class_names": ["cat", "dog"]}},
    {"finetune": {"model": "$2", "data": "digits", "epochs": 2, "lr": 0.01}},
]

YAML = """
# a comment
steps:
  - show: {model: resnet18}
  - retarget:
      model: resnet18
      class_names: [cat, dog]
  - finetune: {model: $2, data: digits, epochs: 2, lr: 0.01}
"""


@pytest.mark.parametrize(
    ("name", "text"), [("plan.json", json.dumps({"steps": STEPS})), ("plan.yaml", YAML)]
)
def test_a_plan_file_holds_the_steps(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    read = MessageToDict(
        read_plan(file), preserving_proto_field_name=True, unquote_int64_if_possible=True
    )
    assert read == {"kind": "plan", "steps": STEPS, "needs_consent": [3]}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.json", "not json", "JSON"),
        ("p.json", "[]", '"steps"'),
        ("p.json", '{"steps": []}', '"steps"'),
        ("p.json", '{"steps": [{}]}', "step 1"),
        ("p.json", '{"steps": [{"explode": {}}]}', "explode"),
        ("p.json", '{"steps": [{"finetune": {"epochs": "two"}}]}', "epochs"),
        ("p.json", '{"kind": "refuse", "steps": [{"undo": {}}]}', "refuse"),
        ("p.yaml", "steps: [", "YAML"),
        ("p.yaml", "steps:\n- !!python/object/apply:os.system ['true']", "YAML"),
        ("p.json", " " * (2**20 + 1), "1 MiB"),
    ],
)
def test_an_invalid_plan_file_is_reported_with_its_problem(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(InvalidValue, match=said) as caught:
        read_plan(file)
    assert "\n" not in caught.value.sentence()


def test_the_card_lists_each_step_and_which_needs_consent(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"steps": STEPS, "assumptions": ["seed 0"]}))
    choose_language("en")
    plan = read_plan(file)
    assert list(card_lines(plan)) == [
        "  1. show · model resnet18",
        "  2. retarget · model resnet18 · class_names cat, dog",
        "  3. fine-tune · model $2 · data digits · epochs 2 · lr 0.01  (needs consent)",
        "     assumed: seed 0",
    ]
    assert list(plan.needs_consent) == [3]
