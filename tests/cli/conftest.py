"""The command line in this process, with a state folder of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from netgraft.cli import main

Run = Callable[..., Result]


@pytest.fixture
def run(state: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("models", "resnet")`: what `netgraft models resnet` prints, and its exit code."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*words: str, **kwargs: Any) -> Result:
        return CliRunner().invoke(main, words, prog_name="netgraft", **kwargs)

    return invoke


@pytest.fixture
def reply(run: Run) -> Callable[..., Any]:
    """`reply("models", "resnet")`: the JSON that `netgraft models resnet --json` prints."""

    def invoke(*words: str) -> Any:
        result = run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return invoke
