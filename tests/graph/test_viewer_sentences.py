"""The sentences of the viewer's scripts: every one stands in the catalogues, none in a script."""

import json
import re
from pathlib import Path

import pytest
from babel.messages import jslexer

from netgraft.graph.difference import Difference, Kind, ModuleDifference
from netgraft.graph.lens import LENSES
from netgraft.graph.viewer import comparison, pages, sentences
from netgraft.language import LANGUAGES, Message
from netgraft.language.catalogue import placeholders

FOLDER = Path(pages.__file__).parent
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.js"))
ASKING = ("compare.js", "lens.js", "netgraft.js")
ASKS = re.compile(r"\bsay\(\s*(?:'(?P<key>[\w.]+)'|`(?P<start>[\w.]+)\$\{)?")
HAN = re.compile(r"[\u3000-\u9fff\uff00-\uffef]")
WORDS = re.compile(r"(?<![\w#.:>-])[A-Za-z][a-z’']+[,;]? [A-Za-z(][a-z’']*(?![\w:>-])")
UNREAD = re.compile(r"""(className:\s*|\bquerySelector(?:All)?\()(['"`]).*?\2""")
"""Names of classes, and selectors."""
ON_THE_PAGE = re.compile(
    r"""(?:\b(?:textContent|innerText|innerHTML|title|alt|placeholder|label)\s*[=:]\s*
        |\bnew\s+Option\(\s*|\b(?:append|prepend|alert|confirm|createTextNode)\(\s*
        |\bsetAttribute\(\s*'(?:aria-label|title|alt)',\s*
        |\},\s*)
        (?P<quote>['"`])(?P<text>[^'"`]*)""",
    re.VERBOSE,
)
"""A text where a script puts texts on the page."""


def literals(script: str) -> list[str]:
    """The texts in quotes, and the fixed parts of templates."""
    tokens = jslexer.tokenize(script, template_string=True)
    quoted = [token.value for token in tokens if token.type in ("string", "template_string")]
    return [re.sub(r"\$\{[^}]*\}", "…", each[1:-1]) for each in quoted]


def sentences_in(script: str) -> list[str]:
    """Texts that a reader would read, and that no catalogue knows."""
    script = UNREAD.sub(r"\1name", script)
    found = [text for text in literals(script) if text != "use strict"]
    spoken = [text for text in found if HAN.search(text) or WORDS.search(text)]
    placed = (match["text"] for match in ON_THE_PAGE.finditer(script))
    return spoken + [text for text in placed if re.search("[A-Za-z]{2}", _fixed(text))]


def _fixed(template: str) -> str:
    return re.sub(r"\$\{[^}]*\}?", "", template)


def asked_for(script: str) -> tuple[set[str], set[str]]:
    """The keys that a script asks for, and the starts of those that it puts together."""
    calls = list(ASKS.finditer(script))
    unknown = [script[call.start() :][:40] for call in calls if not any(call.groups())]
    assert unknown == [], "a key that cannot be read from the script"
    return {c["key"] for c in calls if c["key"]}, {c["start"] for c in calls if c["start"]}


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_sentence_stands_in_a_script(name: str) -> None:
    assert sentences_in((FOLDER / name).read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "const text = 'what boxes do';",
        "const text = `${count} of them differ`;",
        "const text = chinese ? '冻结' : name;",
        "said.replace(/frozen/, '冻结');",
        "told.textContent = 'alike';",
        "box.append('batch', count);",
        "choice.setAttribute('aria-label', 'Colour');",
        "table.append(element('th', {}, 'module'));",
        "list.add(new Option('parameters', name));",
        "return { fill, label: 'frozen' };",
        "$('told').textContent = `frozen ${count}`;",
    ],
)
def test_a_planted_sentence_is_found(line: str) -> None:
    assert sentences_in(line) != []


@pytest.mark.parametrize(
    "line",
    [
        "'use strict';",
        "bar.style.cssText = 'position:absolute;top:10px;color:#777';",
        "document.querySelectorAll('tbody tr');",
        "choice.setAttribute('aria-label', say('lens'));",
        "made.textContent = `${number(count)} ${unit}`;",
        "element('span', { className: `kind ${kind} around` }, say(kind));",
    ],
)
def test_what_nobody_reads_is_no_sentence(line: str) -> None:
    assert sentences_in(line) == []


def test_every_sentence_that_a_script_asks_for_exists_and_none_is_idle() -> None:
    found = [asked_for((FOLDER / name).read_text()) for name in ASKING]
    keys = set().union(*(keys for keys, _ in found))
    starts = tuple(set().union(*(starts for _, starts in found)))
    assert keys - sentences.SENTENCES.keys() == set()
    assert [
        one for one in sentences.SENTENCES if one not in keys and not one.startswith(starts)
    ] == []
    assert all(any(key.startswith(start) for key in sentences.SENTENCES) for start in starts)
    assert {f"lens.{name}" for name in LENSES} <= sentences.SENTENCES.keys()


def delivered() -> dict[str, dict[str, str]]:
    """What a browser gets, by language and key."""
    folder, _, _ = pages.shared_folder().removeprefix(f"{pages.STATIC}/").partition("/")
    first = pages.static_file(f"{folder}/{pages.LANGUAGE}").data.decode().partition("\n")[0]
    found: dict[str, dict[str, str]] = json.loads(first.partition(" = ")[2].removesuffix(";"))
    return found


def test_the_browser_gets_every_sentence_in_every_language() -> None:
    found = delivered()
    assert tuple(found) == LANGUAGES
    for key, english in found["en"].items():
        chinese = found["zh"][key]
        assert HAN.search(chinese) or english == chinese == "FLOPs", key
        assert placeholders(chinese) == placeholders(english)
    assert found["en"].keys() == found["zh"].keys() == sentences.SENTENCES.keys()


def test_what_differs_is_sent_in_every_language_where_it_is_words() -> None:
    message = Message("{module}, {training}", module="Linear(4 → 2)", training=Message("frozen"))
    item = ModuleDifference("fc", Kind.CHANGED, "Linear(4 → 3)", message)
    found = json.loads(comparison.differences(Difference((item,), 15, 10)).data)
    [sent] = found["differences"]
    assert sent["before"] == "Linear(4 → 3)"
    assert sent["after"] == {"en": "Linear(4 → 2), frozen", "zh": "Linear(4 → 2)，冻结"}
    assert (sent["path"], sent["path_before"], sent["kind"]) == ("fc", "fc", "changed")


def test_another_sentence_gives_the_shared_files_another_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = pages.shared_folder()
    monkeypatch.setitem(sentences.SENTENCES, "alike", "They are the same.")
    pages._shared.cache_clear()
    after = pages.shared_folder()
    pages._shared.cache_clear()
    assert before != after


def test_a_sentence_cannot_end_the_script_of_a_one_file_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sentences.SENTENCES, "alike", "</script>")
    assert b"</script>" not in sentences.script()
