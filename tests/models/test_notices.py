"""Notices are stored before anybody reads them, and said in the reader's language."""

from pathlib import Path

import pytest

from netgraft.language import Message, plural
from netgraft.models.notices import said, stored
from netgraft.models.recipe import Base, Recipe
from netgraft.models.recipes import put_recipe
from netgraft.store.store import Store

RANDOM = Message("{name} starts from random weights.", name="resnet50")


def test_a_notice_is_one_line_that_every_language_reads() -> None:
    line = stored(RANDOM)
    assert len(line.splitlines()) == 1
    assert said(line, "en") == RANDOM == "resnet50 starts from random weights."
    assert said(line, "zh") == "resnet50 从随机权重开始。"
    assert said(line, "fr") == RANDOM


def test_values_that_are_messages_and_lists_are_said_in_the_readers_language() -> None:
    model = Message(
        plural("{model} with {count} class", "{model} with {count} classes"),
        model="resnet18",
        count=1,
    )
    first = Message(
        "{name} holds {count} tensors and no structure; their names and shapes are those "
        "of {model}, so it is drawn and built as that.",
        name="net.pth",
        count=102,
        model=model,
    )
    also = Message("They also fit {models}.", models=["a", "b"])
    line = stored(Message("{first} {second}", first=first, second=also))
    assert said(line, "en").endswith(
        "of resnet18 with 1 class, so it is drawn and built as that. They also fit a, b."
    )
    assert "与 resnet18（1 类） 一致" in said(line, "zh")
    assert said(line, "zh").endswith("也符合 a、b。")


@pytest.mark.parametrize("problem", ["two\nlines", "one\u2028two", "a\x85b"])
def test_whatever_a_value_holds_a_notice_stays_one_line(problem: str) -> None:
    notice = Message(
        "{name} starts from random weights: {weights} cannot be had ({problem}).",
        name="resnet50",
        weights="IMAGENET1K_V2",
        problem=problem,
    )
    assert len(stored(notice).splitlines()) == 1
    assert len(said(stored(notice), "en").splitlines()) == 1


def test_lines_of_stores_of_before_are_read() -> None:
    before = "resnet50 starts from random weights.\tresnet50 从随机权重开始。"
    assert said(before, "en") == "resnet50 starts from random weights."
    assert said(before, "zh") == "resnet50 从随机权重开始。"
    only = "resnet50 starts from random weights."
    assert (said(only, "en"), said(only, "zh")) == (only, only)


@pytest.mark.parametrize("line", ["", "12", "null", "[]", "{}", '{"template": 1}', '["a"]'])
def test_a_line_that_only_looks_like_json_is_shown_as_it_is(line: str) -> None:
    assert said(line, "zh") == line


def test_the_store_gives_back_what_it_was_given(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")
    recipe = Recipe(Base("torchvision", "resnet50", None))
    put_recipe(store, recipe, (stored(RANDOM), stored(RANDOM)))
    lines = store.get_row(recipe.id).notices.splitlines()
    assert [said(line, "zh") for line in lines] == ["resnet50 从随机权重开始。"] * 2
    store.engine.dispose()
