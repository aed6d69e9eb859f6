"""The changes to Ray, as far as they show without a cluster (tests/e2e has one)."""

import os
from pathlib import Path

import grpc
import pytest

from netgraft.errors import NetgraftError
from netgraft.serving.ray_patches import close_token, private_folder, reworded


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder, in Ray's eyes."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    return tmp_path


def test_the_folder_of_rays_sessions_is_closed_to_others(temporary: Path) -> None:
    folder = private_folder()
    assert folder == temporary / f"netgraft-{os.getuid()}"
    folder.chmod(0o777)
    assert private_folder() == folder
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_link_that_somebody_left_in_its_place_is_not_followed(temporary: Path) -> None:
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (temporary / f"netgraft-{os.getuid()}").symlink_to(elsewhere)
    folder = private_folder()
    assert folder.resolve() == folder != elsewhere
    assert folder.stat().st_mode & 0o777 == 0o700
    assert elsewhere.stat().st_mode & 0o777 == 0o755


def test_rays_token_becomes_readable_by_its_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    close_token()  # there is none yet
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    close_token()
    assert token.stat().st_mode & 0o777 == 0o600


def test_a_failure_of_rays_own_is_told_in_our_words() -> None:
    from ray.serve._private.grpc_util import get_grpc_response_status

    status = reworded(get_grpc_response_status)(KeyError("/secret/path"), None, "id")
    assert status.code is grpc.StatusCode.INTERNAL
    assert status.message == f"{NetgraftError().sentence()} (INTERNAL)"
