"""Both languages say the same things."""

import string
from dataclasses import fields
from types import SimpleNamespace

import pytest

from netgraft.ui.messages import CHINESE, ENGLISH, Words, for_browser, language_of
from netgraft.v1.agent_pb2 import Step


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("name", [field.name for field in fields(Words)])
def test_a_word_has_the_same_values_in_both_languages(name: str) -> None:
    english, chinese = getattr(ENGLISH, name), getattr(CHINESE, name)
    if isinstance(english, str):
        assert english
        assert chinese
        assert placeholders(english) == placeholders(chinese)
    elif isinstance(english, tuple):
        assert len(english) == len(chinese)


def test_every_step_and_every_value_of_the_contract_has_a_name() -> None:
    steps = Step.DESCRIPTOR.oneofs_by_name["step"].fields
    assert set(ENGLISH.steps) == set(CHINESE.steps) == {step.name for step in steps}
    values = {field.name for step in steps for field in step.message_type.fields}
    assert set(CHINESE.fields) == values
    assert set(ENGLISH.fields) <= values


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


def test_the_browser_gets_every_plain_word_under_each_of_its_tags() -> None:
    sent = for_browser()
    assert sent["zh-CN"]["send"] == "发送"
    assert {frozenset(words) for words in sent.values()} == {frozenset(sent["en"])}
