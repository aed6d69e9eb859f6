"""What netgraft writes is its owner's alone, whatever the umask says."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from netgraft import codes
from netgraft.cli import checks
from netgraft.logs import logged
from netgraft.private import make_file, make_folder
from netgraft.running import announced
from netgraft.settings import settings
from netgraft.store.store import Store, default_store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.run import run as train
from netgraft.v1 import surgery_pb2

from .conftest import Run
from .server import serving

TINY = "timm/test_resnet@none"


@pytest.fixture(autouse=True)
def no_umask() -> Iterator[None]:
    """A umask that closes nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """What in a folder, itself included, lets in anybody but its owner."""
    every = [folder, *folder.rglob("*")]
    assert len(every) > 1
    modes = ((path, stat.S_IMODE(path.stat().st_mode)) for path in every)
    return [f"{mode:o} {path.relative_to(folder)}" for path, mode in modes if mode & 0o077]


def test_files_of_commands_in_the_state_are_private(
    run: Run, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETGRAFT_STATE", str(state / "deep" / "down"))
    settings.cache_clear()
    default_store.cache_clear()
    assert run("token").exit_code == 0
    assert run("retarget", TINY, "--classes", "3", "--json").exit_code == 0
    assert run("show", TINY, "--json").exit_code == 0
    assert run("export", TINY, "-o", "net.pth").exit_code == 0
    assert run("inspect", "./net.pth", "--json").exit_code == 0
    assert run("models", "resnet", "--json").exit_code == 0
    with serving() as address:
        assert run("upload", "net.pth", "--server", address).exit_code == 0
    found = [str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()]
    for name in ("token", "netgraft.db", "netgraft.db-wal", "netgraft.db-shm"):
        assert f"deep/down/{name}" in found
    assert any("/store/" in name for name in found)
    assert open_to_others(state) == []


@pytest.mark.parametrize("written", ["log", "server", "code"])
def test_files_of_a_server_in_a_new_state_are_private(
    written: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_STATE", str(state / "deep" / "down"))
    monkeypatch.setenv("NETGRAFT_TOKEN", "secret")
    settings.cache_clear()
    if written == "log":
        with logged(settings().folder / "logs" / "up.log"):
            pass
    elif written == "server":
        with announced("127.0.0.1:9000", "", engine="local"):
            assert open_to_others(state) == []
    else:
        assert codes.spend(codes.new_code())
    assert open_to_others(state) == []


def test_files_that_the_user_asked_for_follow_the_umask(
    run: Run, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.umask(0o022)
    assert run("export", TINY, "-o", "net.py").exit_code == 0
    assert stat.S_IMODE((tmp_path / "net.py").stat().st_mode) == 0o644


def test_files_of_training_are_private(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETGRAFT_CHECKPOINT_SECONDS", "0.001")
    settings.cache_clear()
    torch.set_num_threads(1)
    store = default_store()
    edit = surgery_pb2.RetargetModelRequest(model=TINY, classes=10)
    model = SurgeryServicer(store).RetargetModel(edit).model.id
    request = Request(model, "digits", epochs=1, image_size=16, batch_size=64, workers=1)
    job = Jobs(store).create(planning.plan(request, Capacity(2, 0), store))
    seen: list[str] = []
    put_file = Store.put_file

    def putting(self: Store, kind: str, name: str, data: bytes) -> None:
        put_file(self, kind, name, data)
        seen.extend(open_to_others(state))
        seen.append(name)

    monkeypatch.setattr(Store, "put_file", putting)
    train(job.id, Group(0, 1, torch.device("cpu")), store)
    assert any(name.endswith(".ckpt") for name in seen), "a checkpoint was looked at"
    assert [name for name in seen if " " in name] == []
    assert list(state.rglob("*tfevents*"))
    assert open_to_others(state) == []


def test_a_database_that_others_could_read_is_closed(tmp_path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"netgraft.db{ending}").touch(0o644)
    Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'netgraft.db'}").engine.dispose()
    assert stat.S_IMODE((tmp_path / "netgraft.db").stat().st_mode) == 0o600


def test_an_existing_folder_is_left_alone_and_the_doctor_reports_it(state: Path) -> None:
    state.mkdir(0o755)
    settings().make_token()
    default_store()
    assert stat.S_IMODE(state.stat().st_mode) == 0o755
    found = checks.state()
    assert (found.level, found.advice) == ("warn", f"chmod 700 {state}")
    state.chmod(0o700)
    assert checks.state().level == "ok"


def test_a_file_of_an_interrupted_run_is_closed_before_it_is_continued(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.touch(0o666)
    assert stat.S_IMODE(make_file(file).stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        make_folder(file)
