"""The catalogues: every sentence has its complete Chinese, with exactly the same values."""

import re

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from netgraft.errors import every_error
from netgraft.language import LANGUAGES
from netgraft.language.catalogue import collected, faults, fresh, languages, placeholders

TEMPLATE = collected()
OURS = [kind for kind in every_error() if kind.__module__.startswith("netgraft.errors.")]
CODE = re.compile(r"`[^`]*`")
PHRASE = re.compile(r"[A-Za-z][A-Za-z'’-]*(?:[ ,;]+[A-Za-z][A-Za-z'’-]*)+")
TERMS = {"Hugging Face", "Ray Serve", "Ray Train"}
"""Names of more than one word that stay English in Chinese sentences."""
HAN = re.compile(r"[\u4e00-\u9fff]")
LANGUAGE_FREE = {"{text}"}
"""Templates that consist of a value only."""


class Shown:
    """A value that looks the same under every format."""

    def __format__(self, spec: str) -> str:
        return "⟨⟩"

    def __repr__(self) -> str:
        return "⟨⟩"


def fragments(sentence: str) -> list[str]:
    """English phrases in a Chinese sentence, apart from code in backticks and names."""
    return [found for found in PHRASE.findall(CODE.sub("⟨⟩", sentence)) if found not in TERMS]


def filled(template: str) -> str:
    return template.format(**dict.fromkeys(placeholders(template), Shown()))


def catalogue_of(language: str) -> Catalog:
    with dict(languages())[language].open("rb") as stream:
        return read_po(stream, locale=language)


def both() -> list[tuple[str, str]]:
    """Every sentence of the Chinese catalogue: the English template, and what is said."""
    pairs = []
    for message in catalogue_of("zh"):
        english = message.id if isinstance(message.id, str) else message.id[0]
        strings = [message.string] if isinstance(message.string, str) else message.string
        pairs += [(english, filled(each)) for each in strings if english]
    return pairs


def test_there_is_a_catalogue_for_every_language_but_that_of_the_sources() -> None:
    assert [language for language, _ in languages()] == [each for each in LANGUAGES if each != "en"]


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_a_catalogue_is_complete_and_holds_nothing_unused(language: str) -> None:
    file = dict(languages())[language]
    text, compiled, found = fresh(file, language, TEMPLATE)
    assert found == []
    assert file.read_bytes() == text, "run `make messages`"
    assert file.with_suffix(".mo").read_bytes() == compiled, "run `make messages`"
    ours, all_of_it = catalogue_of(language), {(m.context, m.id) for m in TEMPLATE}
    assert {(m.context, m.id) for m in ours if m.id} == {each for each in all_of_it if each[1]}
    assert not ours.obsolete


def test_every_sentence_is_wholly_chinese() -> None:
    found = {english: fragments(said) for english, said in both()}
    assert len(found) > 300
    assert {english: phrases for english, phrases in found.items() if phrases} == {}


def test_every_error_is_wholly_chinese() -> None:
    for kind in OURS:
        said = kind(**{name: Shown() for name in placeholders(kind.template)}).sentence("zh")
        assert fragments(said) == [], kind
        assert HAN.search(said), kind


def test_every_sentence_of_words_is_translated() -> None:
    bare = {english: re.sub("{[^}]*}|`[^`]*`", "", english) for english, _ in both()}
    same = [english for english, said in both() if english == said]
    assert [one for one in same if re.search("[a-z]{2}", bare[one])] == []


def test_the_templates_of_all_errors_are_collected() -> None:
    assert [kind.__name__ for kind in OURS if kind.template not in TEMPLATE] == []


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("means 不能是 ''：应为 given with init 'class_means', and with no other。", 2),
        ("无法打开 x.pt：it is empty。", 1),
        ("请用 pip install 安装", 1),
        ("请用 `pip install x` 安装，或用 --server 指定 Hugging Face 缓存", 0),
        ("batch_size 应为 bf16（在 CPU 上）", 0),
    ],
)
def test_a_planted_fragment_is_found(sentence: str, found: int) -> None:
    assert len(fragments(sentence)) == found


@pytest.mark.parametrize(
    ("english", "other", "fault"),
    [
        ("{a} is gone", "", "lacks: {a} is gone"),
        ("{a} is gone", "{b} 没有了", "has other values: {a} is gone"),
        ("{a:,} of {b}", "{b} 中的 {a:,}", None),
    ],
)
def test_a_planted_fault_of_a_catalogue_is_found(
    english: str, other: str, fault: str | None
) -> None:
    catalogue = Catalog()
    catalogue.add(english, other)
    assert faults(catalogue) == ([fault] if fault else [])
