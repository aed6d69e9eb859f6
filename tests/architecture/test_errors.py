"""The error tree is complete: status, reasons, sentences and its drawing."""

import re
import string
import subprocess
import sys
from collections import Counter

import grpc
import pytest

from netgraft import errors
from netgraft.errors import STATUS, NetgraftError, every_error, status_name
from netgraft.language import translation

TREE = [kind for kind in every_error() if kind.__module__.startswith("netgraft.errors.")]
each = pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)


def fields(sentence: str) -> set[str]:
    """Names of the values that a sentence is formatted with."""
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def drawn() -> dict[str, tuple[str, str]]:
    """The docstring's tree: class name → (parent's name, status written beside it)."""
    found: dict[str, tuple[str, str]] = {}
    parents = {0: ""}
    for line in (errors.__doc__ or "").splitlines():
        match = re.fullmatch(r"    ((?:│   |    )*)(?:├── |└── )?(\w+)(?: +([A-Z_]+))?", line)
        if match and match[2].lower() != match[2]:
            depth = len(match[1]) // 4 + ("── " in line)
            found[match[2]] = (parents.get(depth, ""), match[3] or "")
            parents[depth + 1] = match[2]
    return found


@each
def test_each_error_maps_to_a_status_that_grpc_has(kind: type[NetgraftError]) -> None:
    assert status_name(kind) in grpc.StatusCode.__members__
    assert status_name(kind) != "OK"


def test_the_table_names_only_classes_of_the_tree() -> None:
    assert set(STATUS) <= set(TREE)


def test_reasons_are_constant_and_unique() -> None:
    reasons = Counter(kind.__dict__.get("reason") for kind in TREE)
    assert [reason for reason, times in reasons.items() if times > 1 or not reason] == []
    assert all(re.fullmatch(r"[A-Z]+(_[A-Z]+)*", str(reason)) for reason in reasons)


@each
def test_each_error_has_its_own_two_sentences_over_the_same_values(
    kind: type[NetgraftError],
) -> None:
    assert "template" in kind.__dict__
    chinese = translation(kind.template, "zh")
    assert fields(kind.template) == fields(chinese)
    error = kind(**dict.fromkeys(fields(kind.template), "x1"))
    assert error.sentence("en") != error.sentence("zh")
    assert error.sentence("zh-CN") == error.sentence("zh")
    assert error.sentence("fr") == error.sentence("en") == str(error)
    assert "{" not in error.sentence("en") + error.sentence("zh")
    assert re.search(r"[\u4e00-\u9fff]", chinese)


def test_the_drawn_tree_is_the_real_one() -> None:
    picture = drawn()
    assert picture.keys() == {kind.__name__ for kind in TREE}
    for kind in TREE:
        parent, status = picture[kind.__name__]
        if kind is not NetgraftError:
            assert parent == kind.__bases__[0].__name__, kind.__name__
        assert status in ("", status_name(kind)), kind.__name__


def test_only_the_client_adds_a_class_from_outside() -> None:
    """A leaf defined elsewhere would be missing from the drawing and the table."""
    code = (
        "import netgraft.client, netgraft.errors as e;"
        "print(*{f'{k.__module__}.{k.__name__}' for k in e.every_error()"
        " if not k.__module__.startswith('netgraft.errors.')})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["netgraft.client.RemoteError"]


def test_a_sentence_does_not_repeat_a_long_value_whole() -> None:
    error = errors.InvalidValue(name="means", value="x" * 10_000, expected="a name")
    assert len(error.sentence("en")) < 600
    assert error.sentence("zh").endswith("a name。")
    assert error.values["value"] == "x" * 10_000
