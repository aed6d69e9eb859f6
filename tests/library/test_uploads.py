"""Files that are sent: taken in parts, checked, opened as any other file, or thrown away."""

import hashlib
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from netgraft.errors import (
    InvalidValue,
    NetgraftError,
    TooLarge,
    UnsafeFile,
    UnsupportedFile,
    UploadIncomplete,
    WrongHash,
)
from netgraft.library import uploads
from netgraft.library.servicer import ModelsServicer
from netgraft.models.build import build
from netgraft.models.recipes import get_recipe
from netgraft.sending import send
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import models_pb2, surgery_pb2


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelsServicer]:
    monkeypatch.setenv("NETGRAFT_FILE_MIB", "60")
    monkeypatch.setattr(uploads, "PART", 2**20)
    settings.cache_clear()
    store = Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")
    yield ModelsServicer(store)
    store.engine.dispose()
    settings.cache_clear()


@pytest.fixture(scope="module")
def network() -> bytes:
    """What tutorials save: a whole model."""
    torch.manual_seed(0)
    buffer = io.BytesIO()
    torch.save(torchvision.models.squeezenet1_1(), buffer)
    return buffer.getvalue()


def parts(
    data: bytes, name: str = "net.pth", *, offset: int = 0, **said: object
) -> Iterator[models_pb2.UploadFileRequest]:
    """The messages that send bytes from an offset on, except where `said` says otherwise."""
    values = {"sha256": digest(data), "size": len(data), "name": name, "offset": offset} | said
    yield models_pb2.UploadFileRequest(header=models_pb2.UploadHeader(**values))  # type: ignore[arg-type]
    for at in range(offset, len(data), 300_000):
        yield models_pb2.UploadFileRequest(data=data[at : at + 300_000])


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def left(models: ModelsServicer) -> list[Path]:
    """Files that an upload left behind."""
    folders = [Path(models.store.root) / kind for kind in ("uploads", "files", "opened")]
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_a_whole_pickled_model_becomes_one_that_can_be_edited(
    models: ModelsServicer, network: bytes
) -> None:
    done = models.UploadFile(parts(network))
    assert (done.sha256, done.received_bytes) == (digest(network), len(network))
    assert done.model.title == "net.pth"
    built = build(get_recipe(models.store, done.model.id), models.store).eval()
    torch.manual_seed(0)
    own = torchvision.models.squeezenet1_1().eval()
    x_NCHW = torch.rand(1, 3, 64, 64)
    assert torch.equal(built(x_NCHW), own(x_NCHW))
    request = surgery_pb2.RetargetModelRequest(model=done.model.id, classes=7)
    (head,) = SurgeryServicer(models.store).RetargetModel(request).heads
    assert (head.path, head.before, head.after) == ("classifier.1", 1000, 7)


def test_a_state_dict_becomes_the_model_of_the_zoo_that_it_fits(models: ModelsServicer) -> None:
    buffer = io.BytesIO()
    torch.save(torchvision.models.mobilenet_v2().state_dict(), buffer)
    done = models.UploadFile(parts(buffer.getvalue(), "C:\\nets\\sd.pth"))
    assert done.model.title == "mobilenet_v2 · weights of sd.pth"
    assert "no structure" in done.model.notices[0]


def test_a_broken_upload_goes_on_where_it_broke(models: ModelsServicer, network: bytes) -> None:
    def broken() -> Iterator[models_pb2.UploadFileRequest]:
        stream = parts(network)
        yield from (next(stream) for _ in range(6))
        raise ConnectionError

    with pytest.raises(ConnectionError):
        models.UploadFile(broken())
    asked = models_pb2.GetUploadRequest(
        sha256=digest(network).upper(), name="net.pth", size=len(network)
    )
    assert models.GetUpload(asked).received_bytes == 1_500_000
    short = network[:3_000_000]
    with pytest.raises(UploadIncomplete, match="3,000,000 of"):
        said = {"sha256": digest(network), "size": len(network)}
        models.UploadFile(parts(short, offset=1_500_000, **said))
    done = models.UploadFile(parts(network, offset=3_000_000))
    assert done.received_bytes == len(network)
    assert models.store.read("files", digest(network)) == network
    assert not models.store.names(f"uploads/{digest(network)}")


def test_what_is_here_already_is_not_sent_again(
    models: ModelsServicer, network: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "net.pth"
    file.write_bytes(network)
    seen: list[int] = []
    first = send(models, file, progress=lambda at, _: seen.append(at))  # type: ignore[arg-type]
    assert seen[0] == 0
    seen.clear()
    again = send(models, file, progress=lambda at, _: seen.append(at))  # type: ignore[arg-type]
    assert seen == [len(network)]
    assert again == first


def test_two_who_send_the_same_file_at_once_both_get_it(
    models: ModelsServicer, network: bytes
) -> None:
    def meanwhile() -> Iterator[models_pb2.UploadFileRequest]:
        stream = parts(network)
        yield from (next(stream) for _ in range(6))
        models.UploadFile(parts(network))
        yield from stream

    assert models.UploadFile(meanwhile()).model.title == "net.pth"
    assert models.store.read("files", digest(network)) == network


def hostile() -> bytes:
    return b"\x80\x02cposix\nsystem\n(X\x04\x00\x00\x00truetR."


class Custom(nn.Module):
    """A class that no allow-list knows."""


def custom() -> bytes:
    buffer = io.BytesIO()
    torch.save(Custom(), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (hostile(), UnsafeFile),
        (custom(), UnsafeFile),
        (b"no model at all", UnsupportedFile),
        (b"", UnsupportedFile),
    ],
)
def test_what_is_no_model_or_means_harm_is_refused_and_not_kept(
    data: bytes, error: type[NetgraftError], models: ModelsServicer
) -> None:
    with pytest.raises(error):
        models.UploadFile(parts(data))
    assert not left(models)


def test_a_file_that_was_cut_short_before_it_was_sent_is_refused(
    models: ModelsServicer, network: bytes
) -> None:
    with pytest.raises(UnsupportedFile, match="cut short"):
        models.UploadFile(parts(network[:-1000]))
    assert not left(models)


def test_what_differs_from_what_was_announced_is_thrown_away(
    models: ModelsServicer, network: bytes
) -> None:
    with pytest.raises(WrongHash, match=digest(network)):
        models.UploadFile(parts(network, sha256="0" * 64))
    with pytest.raises(InvalidValue, match="announced"):
        models.UploadFile(parts(network, size=1000))
    assert not left(models)


def test_the_limit_is_reported_before_a_byte_is_sent(models: ModelsServicer) -> None:
    def stream() -> Iterator[models_pb2.UploadFileRequest]:
        yield next(parts(b"x", size=60 * 2**20 + 1))
        pytest.fail("bytes were asked for")

    with pytest.raises(TooLarge, match="NETGRAFT_FILE_MIB"):
        models.UploadFile(stream())
    with pytest.raises(TooLarge, match="60 MiB"):
        asked = models_pb2.GetUploadRequest(sha256="0" * 64, name="x.pth", size=60 * 2**20 + 1)
        models.GetUpload(asked)
    assert not left(models)


@pytest.mark.parametrize(
    "said",
    [{"sha256": "../../etc/passwd"}, {"sha256": "ab" * 31}, {"sha256": ""}, {"offset": 7},
     {"offset": -1}, {"offset": 2**40}, {"size": -1}],
)  # fmt: skip
def test_headers_that_make_no_sense_are_refused(
    said: dict[str, object], models: ModelsServicer, network: bytes
) -> None:
    with pytest.raises(InvalidValue):
        models.UploadFile(parts(network, **said))  # type: ignore[arg-type]
    assert not left(models)


def test_bytes_without_a_header_are_refused(models: ModelsServicer) -> None:
    for stream in ([], [models_pb2.UploadFileRequest(data=b"x")]):
        with pytest.raises(InvalidValue, match="header"):
            models.UploadFile(stream)


def test_an_upload_that_is_not_continued_for_a_week_is_removed(
    models: ModelsServicer, network: bytes
) -> None:
    for name in (b"older", b"newer"):
        data = name + network
        with pytest.raises(UploadIncomplete):
            models.UploadFile(parts(data[:2_000_000], size=len(data), sha256=digest(data)))
        for path in left(models) if name == b"older" else ():
            week_ago = time.time() - uploads.LONGEST_SECONDS - 60
            os.utime(path, (week_ago, week_ago))
    models.UploadFile(parts(network))
    kept = {path.parent.name for path in left(models) if "uploads" in path.parts}
    assert kept == {digest(b"newer" + network)}


def test_a_client_starts_over_where_the_server_has_part_of_another_file(
    models: ModelsServicer, network: bytes, tmp_path: Path
) -> None:
    with pytest.raises(UploadIncomplete):
        models.UploadFile(parts(b"other" * 300_000, size=len(network), sha256=digest(network)))
    (tmp_path / "net.pth").write_bytes(network)
    seen: list[int] = []
    done = send(models, tmp_path / "net.pth", progress=lambda at, _: seen.append(at))  # type: ignore[arg-type]
    assert done.model.id
    assert seen[0] == 1_500_000
    assert 0 in seen, "started over"
    assert seen[-1] == len(network)


def test_unfinished_uploads_give_way_to_others(
    models: ModelsServicer, network: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "BEGUN", 0.05)
    for number in range(4):
        begun = bytes([number]) + network
        said = {"sha256": digest(begun), "size": len(begun)}
        with pytest.raises(UploadIncomplete):
            models.UploadFile(parts(begun[:2_000_000], **said))
    kept = sum(path.stat().st_size for path in left(models))
    assert kept <= 0.05 * 60 * 2**20 + 2_000_000
