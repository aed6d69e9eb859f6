"""Archives of pictures: laid out like folders, bounded, and never a way out."""

import io
import os
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.tuning.data.trees import JPEG, classes_of, numbered, sizes

from netgraft.errors import InvalidData, NetgraftError, PictureTooLarge
from netgraft.settings import settings
from netgraft.tuning.data import open_data

CAT_AND_DOG = [*numbered("cat", 5), *numbered("dog", 5)]
Pack = Callable[[Path, Mapping[str, bytes]], None]


def files(*paths: str) -> dict[str, bytes]:
    return {path: JPEG + path.encode() for path in paths}


def zipped(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def tarred(mode: str) -> Pack:
    def pack(path: Path, members: Mapping[str, bytes]) -> None:
        with tarfile.open(path, f"w:{mode}") as archive:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))

    return pack


def zstd(path: Path, members: Mapping[str, bytes]) -> None:
    import pyarrow as pa

    tarred("")(path, members)
    packed = pa.compress(path.read_bytes(), "zstd", asbytes=True)
    path.write_bytes(packed)


PACKS = {
    "zip": zipped,
    "tar": tarred(""),
    "tar.gz": tarred("gz"),
    "tar.bz2": tarred("bz2"),
    "tar.xz": tarred("xz"),
    "tar.zst": zstd,
}


@pytest.mark.parametrize("form", PACKS)
@pytest.mark.parametrize("above", ["", "pets/", "./pets/"])
def test_an_archive_is_read_like_folders(root: Path, form: str, above: str) -> None:
    paths = [f"{above}{part}/{path}" for part in ("train", "val") for path in CAT_AND_DOG]
    members = files(*paths) | {f"{above}.DS_Store": b"", f"__MACOSX/{above}._x.jpg": b"x"}
    PACKS[form](root / f"x.{form}", members)
    pets = open_data(f"x.{form}")
    assert (pets.kind, pets.class_names) == ("archive", ("cat", "dog"))
    assert sizes(pets) == (10, 10, 0)
    assert pets.passed_over == 2
    plain = f"{above}train/cat/3.jpg"
    name = plain.removeprefix("./")
    assert pets.container.read(name, 1000) == members[plain]
    assert pets.container.stamp(name)[0] == len(members[plain])
    assert len(pets.fingerprint) == 64
    with pytest.raises(FileNotFoundError):
        pets.container.read("train/cat/9.jpg", 1000)
    with pytest.raises(PictureTooLarge):
        pets.container.read(name, 10)


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_an_archive_may_hold_a_table_and_its_pictures(root: Path, form: str) -> None:
    lines = [f"{index}.jpg,{'ab'[index % 2]}" for index in range(10)]
    table = {"set/labels.csv": "\n".join(["file,label", *lines]).encode()}
    PACKS[form](root / f"x.{form}", files(*numbered("set/images", 10)) | table)
    found = open_data(f"x.{form}")
    assert found.class_names == ("a", "b")
    assert classes_of(found)["set/images/3.jpg"] == "b"


def test_a_compressed_tar_is_unpacked_once_and_again_when_it_changed(root: Path) -> None:
    PACKS["tar.gz"](root / "x.tgz", files(*CAT_AND_DOG))
    before = open_data("x.tgz").fingerprint
    folder = settings().folder / "unpacked"
    first = [(path.name, path.stat().st_ino) for path in folder.iterdir()]
    assert open_data("x.tgz").fingerprint == before
    assert [(path.name, path.stat().st_ino) for path in folder.iterdir()] == first
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    PACKS["tar.gz"](root / "x.tgz", files(*CAT_AND_DOG, "emu/1.jpg"))
    assert open_data("x.tgz").class_names == ("cat", "dog", "emu")


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize(
    "evil", ["../evil.jpg", "cat/../../evil.jpg", "/etc/evil.jpg", "..\\evil.jpg", "C:\\evil.jpg"]
)
def test_a_path_that_leads_out_is_refused_by_its_name(root: Path, form: str, evil: str) -> None:
    PACKS[form](root / f"x.{form}", files(*CAT_AND_DOG, evil))
    with pytest.raises(InvalidData) as caught:
        open_data(f"x.{form}")
    assert evil in str(caught.value)
    assert not list(root.parent.rglob("evil*"))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused_by_name(root: Path, kind: bytes) -> None:
    with tarfile.open(root / "x.tar", "w") as archive:
        for name in CAT_AND_DOG:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        info = tarfile.TarInfo("cat/secret.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(InvalidData, match=r"cat/secret\.jpg"):
        open_data("x.tar")


def test_links_and_secrets_in_a_zip_are_refused_by_name(root: Path) -> None:
    zipped(root / "x.zip", files(*CAT_AND_DOG))
    with zipfile.ZipFile(root / "x.zip", "a") as archive:
        link = zipfile.ZipInfo("cat/link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InvalidData, match=r"cat/link\.jpg"):
        open_data("x.zip")
    zipped(root / "y.zip", files(*CAT_AND_DOG))
    data = bytearray((root / "y.zip").read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (root / "y.zip").write_bytes(data)
    with pytest.raises(InvalidData, match="encrypted"):
        open_data("y.zip")


def test_bombs_are_refused_before_they_go_off(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETGRAFT_ARCHIVE_MIB", "1")
    settings.cache_clear()
    zeros = {"cat/bomb.jpg": bytes(2 * 2**20)}
    for form in ("zip", "tar", "tar.gz", "tar.xz", "tar.zst"):
        PACKS[form](root / f"x.{form}", files(*CAT_AND_DOG) | zeros)
        with pytest.raises(InvalidData, match="larger than 1 MiB"):
            open_data(f"x.{form}")
    assert not list((settings().folder / "unpacked").iterdir())


def test_what_shrinks_like_no_picture_is_a_bomb_however_much_is_allowed(root: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    tarred("")(root / "head.tar", {"cat/0.jpg": b""})
    head = bytearray((root / "head.tar").read_bytes()[:512])
    with (root / "x.tar.gz").open("wb") as file:
        file.write(packer.compress(bytes(head)))
        for _ in range(300):
            file.write(packer.compress(bytes(2**20)))
        file.write(packer.flush())
    with pytest.raises(InvalidData, match="NETGRAFT_ARCHIVE_MIB"):
        open_data("x.tar.gz")


def test_a_member_that_lies_about_its_size_gives_no_more(root: Path) -> None:
    zipped(root / "x.zip", files(*CAT_AND_DOG) | {"cat/liar.jpg": bytes(2**20)})
    data = (root / "x.zip").read_bytes()
    size = struct.pack("<I", 2**20)
    (root / "x.zip").write_bytes(data.replace(size, struct.pack("<I", 100)))
    found = open_data("x.zip")
    with pytest.raises(OSError, match=r"CRC|Bad|Overlapped|size"):
        found.container.read("cat/liar.jpg", 1000)


def damaged_in(path: Path, at: float) -> None:
    data = bytearray(path.read_bytes())
    middle = int(len(data) * at)
    data[middle : middle + 64] = os.urandom(64)
    path.write_bytes(data)


@pytest.mark.parametrize("form", PACKS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9, 0.999])
def test_an_archive_that_is_cut_short_is_refused_in_a_sentence(
    root: Path, form: str, share: float
) -> None:
    PACKS[form](root / "whole", files(*CAT_AND_DOG))
    data = (root / "whole").read_bytes()
    (root / f"x.{form}").write_bytes(data[: int(len(data) * share)])
    try:
        found = open_data(f"x.{form}")
    except NetgraftError:
        return
    assert len(found.names) <= 10, "a plain tar ends where its files do"


def test_a_damaged_member_is_an_error_of_that_picture(root: Path) -> None:
    zipped(root / "x.zip", {name: os.urandom(4000) for name in CAT_AND_DOG})
    damaged_in(root / "x.zip", 0.5)
    found = open_data("x.zip")
    failed = 0
    for name in found.names:
        try:
            found.container.read(name, 10_000)
        except OSError:
            failed += 1
    assert failed == 1


def test_archives_that_are_not_read_are_named(root: Path) -> None:
    (root / "x.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(100))
    with pytest.raises(InvalidData, match="7z archives are not read"):
        open_data("x.7z")
    import gzip

    (root / "x.gz").write_bytes(gzip.compress(b"no tar" * 100))
    with pytest.raises(InvalidData, match="no tar"):
        open_data("x.gz")


def test_names_that_are_utf_8_without_saying_so_are_read(root: Path) -> None:
    members = files(*[path.replace("cat", "猫") for path in CAT_AND_DOG])
    zipped(root / "x.zip", members)
    data = (root / "x.zip").read_bytes()
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        parts = data.split(magic)
        data = magic.join(
            [parts[0], *(p[: offset - 4] + b"\0\0" + p[offset - 2 :] for p in parts[1:])]
        )
    (root / "x.zip").write_bytes(data)
    assert open_data("x.zip").class_names == ("dog", "猫")


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_threads_and_forks_read_the_same(root: Path, form: str) -> None:
    members = {name: os.urandom(50_000) for name in CAT_AND_DOG}
    PACKS[form](root / f"x.{form}", members)
    container = open_data(f"x.{form}").container
    container.read(CAT_AND_DOG[0], 10**6)
    wrong: list[str] = []

    def read() -> None:
        for _ in range(10):
            for name, data in members.items():
                if container.read(name, 10**6) != data:
                    wrong.append(name)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = os.fork()
    if child == 0:
        read()
        os._exit(bool(wrong))
    read()
    assert os.waitpid(child, 0)[1] == 0
    assert not wrong
