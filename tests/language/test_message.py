"""Messages: English as a text, any language when asked, values kept for programs."""

import copy
import json
import pickle

import pytest

from netgraft.errors import InvalidData
from netgraft.language import Message, from_plain, quoted, render, say, to_plain

NESTED = Message("its {file} {problem}.", file="config.json", problem=Message("is damaged"))


def test_a_message_is_its_english_sentence() -> None:
    assert NESTED == "its config.json is damaged."
    assert f"{NESTED}" == str(NESTED) == NESTED.say("en")


@pytest.mark.parametrize("language", ["zh", "zh-CN", "zh-Hans-CN"])
def test_it_is_said_in_chinese_with_the_messages_inside_of_it(language: str) -> None:
    assert NESTED.say(language) == "其 config.json 已损坏。"


@pytest.mark.parametrize("language", ["fr", "", "../zh", "de-CH"])
def test_a_language_without_a_catalogue_is_english(language: str) -> None:
    assert NESTED.say(language) == NESTED


def test_what_the_catalogue_lacks_is_english() -> None:
    assert Message("unheard {of}", of=1).say("zh") == "unheard 1"


def test_lists_are_joined_as_the_language_does() -> None:
    one = Message("one of {choices}", choices=["a", Message("nothing")])
    assert (one, one.say("zh")) == ("one of a, nothing", "以下之一：a、空")


def test_braces_and_format_marks_in_values_stay() -> None:
    one = Message("{path} is gone.", path="a{b}%s{0!r}{{")
    assert one == "a{b}%s{0!r}{{ is gone."
    assert Message("its {file} {problem}.", file="x", problem=one).say("zh").count("a{b}%s{0!r}{{")


def test_an_error_does_not_repeat_a_long_message_whole_but_keeps_it() -> None:
    error = InvalidData(data="d", problem=Message("{path} is gone.", path="x" * 10_000))
    assert max(len(error.sentence("en")), len(error.sentence("zh"))) < 500
    assert len(str(error.values["problem"])) > 10_000


def test_a_report_is_marked_as_quoted_in_chinese_alone() -> None:
    report = quoted(ValueError("no such thing"))
    assert (report, report.say("zh")) == ("no such thing", "“no such thing”（原文）")


def test_text_that_is_no_message_is_said_as_it_is() -> None:
    assert say("plain", "zh") == "plain"
    assert say(NESTED, "zh") == NESTED.say("zh")
    assert render("", {}, "zh") == ""


@pytest.mark.parametrize(
    "again",
    [
        lambda message: pickle.loads(pickle.dumps(message)),
        copy.deepcopy,
        lambda message: from_plain(json.loads(json.dumps(to_plain(message)))),
    ],
    ids=["pickle", "deepcopy", "json"],
)
def test_it_comes_back_whole(again) -> None:  # type: ignore[no-untyped-def]
    one = Message("its weights lack {names}.", names=[NESTED, "b", 3])
    back = again(one)
    assert isinstance(back, Message)
    assert (back, back.say("zh")) == (one, one.say("zh"))
