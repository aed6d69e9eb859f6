"""The example sentences in `examples/`, exactly, with the share of exact matches by language.

Each line of a file is `{"turns": [...], "reply": {...}}`; the reply is the planner's JSON
of the answer to the last turn, without assumptions.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from netgraft.agent import plan_batch

FOLDER = Path(__file__).with_name("examples")
ALL_STEPS = {
    "show", "compare", "retarget", "freeze", "unfreeze", "set_loss", "undo", "finetune",
    "evaluate", "predict", "export", "list_models", "inspect", "status", "cancel", "resume",
    "list_jobs", "forecast",
}  # fmt: skip


def read(language: str) -> list[dict[str, Any]]:
    lines = (FOLDER / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_example_is_understood_exactly(
    language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = read(language)
    wrong, right = [], Counter[str]()
    for example in examples:
        reply = plan_batch(example["turns"])
        reply.pop("assumptions", None)
        if reply == example["reply"]:
            right[reply["kind"]] += 1
        else:
            wrong.append((example["turns"], example["reply"], reply))
    total = Counter(example["reply"]["kind"] for example in examples)
    shares = ", ".join(f"{kind} {right[kind]}/{total[kind]}" for kind in sorted(total))
    with capsys.disabled():
        print(f"\n{language}: {right.total()}/{len(examples)} exact ({shares})")  # noqa: T201
    assert not wrong


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_examples_cover_every_step_and_every_kind(language: str) -> None:
    replies = [example["reply"] for example in read(language)]
    steps = {name for reply in replies for step in reply.get("steps", ()) for name in step}
    assert steps == ALL_STEPS
    assert {reply["kind"] for reply in replies} == {"plan", "clarify", "refuse", "answer"}
