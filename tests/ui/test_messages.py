"""The page speaks both languages. That both say the same is shown in tests/language."""

import re
from types import SimpleNamespace

import pytest

from netgraft.language import Translator
from netgraft.ui.handlers import EXAMPLES
from netgraft.ui.messages import LABELS, for_browser, language_of
from netgraft.ui.steps import FIELDS, STEPS
from netgraft.v1.agent_pb2 import Step

ENGLISH, CHINESE = Translator("en"), Translator("zh")


@pytest.mark.parametrize("sentence", [*LABELS.values(), *EXAMPLES, *STEPS.values()])
def test_a_label_is_said_in_both_languages(sentence: str) -> None:
    assert ENGLISH(sentence) == sentence
    assert re.search("[\u4e00-\u9fff]", CHINESE(sentence))


def test_every_step_and_every_value_of_the_contract_has_a_name() -> None:
    steps = Step.DESCRIPTOR.oneofs_by_name["step"].fields
    assert set(STEPS) == {step.name for step in steps}
    assert set(FIELDS) == {field.name for step in steps for field in step.message_type.fields}
    assert all(CHINESE(name) != ENGLISH(name) for name in (*STEPS.values(), *FIELDS.values()))


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,zh;q=0.9", "en"),
        ("zh;q=0.2,en;q=0.9", "en"),
        ("de,fr;q=0.9,zh-TW;q=0.5", "zh"),
        ("de", "en"),
        ("", "en"),
        ("zh;q=nonsense", "zh"),
    ],
)
def test_the_language_is_the_first_wish_that_can_be_met(header: str, language: str) -> None:
    request = SimpleNamespace(headers={"accept-language": header})
    assert language_of(request) == language


def test_the_browser_gets_every_label_under_each_of_its_tags() -> None:
    sent = for_browser()
    assert sent["zh-CN"]["send"] == "发送"
    assert sent["en"] == LABELS
    assert {frozenset(words) for words in sent.values()} == {frozenset(LABELS)}
