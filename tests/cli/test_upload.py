"""upload, and the files that other commands send to a server on another machine."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision

from netgraft.cli import session
from netgraft.settings import settings

from .conftest import Run
from .server import serving

Reply = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    torch.save(torchvision.models.squeezenet1_1(num_classes=12), folder / "net.pth")
    return folder / "net.pth"


@pytest.fixture
def elsewhere(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that reads none of the caller's files, as on another machine."""
    monkeypatch.setattr(session, "is_loopback", lambda _: False)
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path / "theirs"))
    settings.cache_clear()
    with serving() as address:
        yield address
    settings.cache_clear()


def test_a_file_is_sent_and_named_by_an_id(run: Run, reply: Reply, file: Path) -> None:
    shown = run("upload", str(file)).stdout
    done = reply("upload", str(file))
    assert done["received_bytes"] == file.stat().st_size
    assert shown.startswith(f"{done['model']['id']}  net.pth\n")
    assert f"netgraft show {done['model']['id'][:12]}" in shown
    assert reply("retarget", done["model"]["id"], "--classes", "3")["heads"][0]["before"] == 12


def test_a_server_on_another_machine_is_sent_the_file_that_a_command_names(
    run: Run, reply: Reply, file: Path, elsewhere: str
) -> None:
    asked = ("retarget", str(file), "--classes", "3", "--server", elsewhere)
    assert reply(*asked)["heads"][0]["after"] == 3
    there = str(file.with_name("nowhere.pth"))
    refused = run("retarget", there, "--classes", "3", "--server", elsewhere)
    assert "(OUTSIDE_DATA_ROOTS)" in refused.stderr


def test_a_refused_file_gets_its_reason(run: Run, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])
    result = run("upload", str(file), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["reason"] == "UNSUPPORTED_FILE"
    assert run("upload", str(file.with_name("nowhere.pth"))).exit_code == 2
