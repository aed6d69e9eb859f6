"""Properties that must not change a plan: case, padding, politeness, punctuation, width."""

import json
import unicodedata
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netgraft.agent import plan_batch
from netgraft.agent.forms import steps_from_json, steps_to_json
from netgraft.agent.planner import Context
from netgraft.agent.rules import default_planner

ENGLISH = [
    "show resnet50, retarget to 100 classes",
    "show mobilenet_v2, retarget to 10 classes, fine-tune on digits for 2 epochs",
    "compare resnet18 with resnet34",
    "freeze the backbone, then train on digits with lr 0.01",
    "list segmentation models under 50M params",
    "export it as onnx",
    "how many parameters has vgg16",
]
CHINESE = [
    "把resnet50改成100类",
    "把它在digits上微调1轮",
    "展示resnet50,然后改成十类",
    "冻结主干",
    "列出参数量少于两千万的分类模型",
    "导出成onnx",
]
SLOTS = [
    "for 3 epochs",
    "with lr 0.01",
    "with batch size 32",
    "with adam",
    "with seed 7",
    "in bf16",
]


def steps(text: str) -> Any:
    reply = plan_batch([text])
    assert reply["kind"] == "plan", (text, reply)
    return reply["steps"]


@given(st.sampled_from(ENGLISH), st.sampled_from(["please ", "Hi! ", "could you ", "now ", " \t"]))
@settings(deadline=None, max_examples=40)
def test_politeness_in_front_does_not_change_an_english_plan(text: str, padding: str) -> None:
    assert steps(padding + text) == steps(text)


@given(st.sampled_from(ENGLISH), st.sampled_from([" please", ".", "!", "?", " thanks", "  \n"]))
@settings(deadline=None, max_examples=40)
def test_what_trails_an_english_request_does_not_change_it(text: str, padding: str) -> None:
    assert steps(text + padding) == steps(text)


@given(st.sampled_from(CHINESE), st.sampled_from(["请", "帮我", "你好,", "麻烦", "现在"]))
@settings(deadline=None, max_examples=40)
def test_politeness_in_front_does_not_change_a_chinese_plan(text: str, padding: str) -> None:
    assert steps(padding + text) == steps(text)


@given(st.sampled_from(CHINESE), st.sampled_from(["。", "吧", "!", "，谢谢", "  "]))
@settings(deadline=None, max_examples=40)
def test_what_trails_a_chinese_request_does_not_change_it(text: str, padding: str) -> None:
    assert steps(text + padding) == steps(text)


@given(st.sampled_from([*ENGLISH, *CHINESE]), st.sampled_from([str.upper, str.title, str.lower]))
@settings(deadline=None, max_examples=40)
def test_letter_case_does_not_change_a_plan(text: str, change: Any) -> None:
    assert steps(change(text)) == steps(text)


@given(st.sampled_from(CHINESE))
def test_fullwidth_letters_digits_and_commas_do_not_change_a_plan(text: str) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c != "_" else c for c in text)
    assert unicodedata.normalize("NFKC", wide) == text
    assert steps(wide) == steps(text)


@given(st.permutations(SLOTS))
@settings(deadline=None, max_examples=40)
def test_the_order_of_training_options_does_not_change_the_plan(options: list[str]) -> None:
    assert steps(" ".join(["train on digits", *options])) == [
        {
            "finetune": {
                "data": "digits",
                "epochs": 3,
                "lr": 0.01,
                "batch_size": 32,
                "optimizer": "adam",
                "seed": 7,
                "precision": "bf16",
            }
        }
    ]


@given(st.integers(1, 99_999))
@settings(deadline=None, max_examples=50)
def test_a_class_count_is_taken_as_said(count: int) -> None:
    assert steps(f"retarget resnet50 to {count} classes")[0]["retarget"]["classes"] == count
    assert steps(f"把resnet50改成{count}类")[0]["retarget"]["classes"] == count


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=300)
def test_any_text_at_all_gets_one_of_the_four_kinds(text: str) -> None:
    reply = plan_batch([text])
    assert reply["kind"] in ("plan", "clarify", "refuse", "answer")


SENTENCE = """
show it resnet50 vgg16 retarget to 10 classes freeze the head train on digits for 2 epochs and
then , export as onnx not only with lr 0.1 compare undo list models under 5M
把 改成 类 微调 在 上 轮
冻结 主干 导出 然后 不 ( ) ? cats dogs flurb
"""
WORDS = SENTENCE.split()


@given(st.lists(st.sampled_from(WORDS), max_size=14))
@settings(deadline=None, max_examples=400)
def test_any_plan_made_of_known_words_can_be_run_in_order(words: list[str]) -> None:
    reply = plan_batch([" ".join(words)])
    if reply["kind"] == "plan":
        steps_from_json(reply["steps"])
        assert "flurb" not in words or "flurb" in str(reply)  # perhaps as an assumption


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), min_size=2, max_size=3))
@settings(deadline=None, max_examples=300)
def test_turns_made_of_known_words_get_plans_that_can_be_run(turns: list[list[str]]) -> None:
    """Also if the question in between was stored and read back as JSON."""
    planner, context = default_planner(), Context()
    for words in turns:
        text = " ".join(words)
        stored = Context(context.steps, json.loads(json.dumps(context.question)), context.language)
        reply, context = planner.plan(text, context)
        assert planner.plan(text, stored) == (reply, context)
        if reply.kind == "plan":
            assert steps_from_json(steps_to_json(reply.steps)) == reply.steps
