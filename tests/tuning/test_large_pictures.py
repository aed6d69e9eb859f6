"""Pictures that would unpack to too many pixels are refused by their header, undecoded."""

import io
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageFile

from netgraft.errors import InvalidData, PictureTooLarge, status_name
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.data import open_data
from netgraft.tuning.data.containers.folder import Folder
from netgraft.tuning.data.decode import bounds, picture_in
from netgraft.tuning.data.reading import check_pictures
from netgraft.tuning.jobs.events import Kind
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.servicer import TuningServicer
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.run import run
from netgraft.v1 import surgery_pb2, tuning_pb2

SIDE = 12_000


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(folder))
    settings.cache_clear()
    yield folder
    monkeypatch.undo()
    settings.cache_clear()


def open_picture(file: Path, data: str, side: int) -> Image.Image:
    folder = file.parent.resolve()
    encoded = Folder(folder, (folder,)).read(file.name, bounds.most_bytes())
    return picture_in(encoded, side, name=file.name, reference=data)


def check_picture(file: Path, data: str) -> None:
    open_picture(file, data, side=1)


def saved(form: str, size: tuple[int, int] = (8, 8), mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*more: bytes, side: int = SIDE) -> bytes:
    """A sound PNG of one bit a pixel: 144 megapixels in 18 kB."""
    rows = zlib.compress(bytes((side + 7) // 8 + 1) * side, 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), *more, chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg(**options: object) -> bytes:
    """A JPEG whose header has the dimensions of a large one."""
    data = bytearray(saved("JPEG", **options))
    frame = data.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", SIDE, SIDE)
    return bytes(data)


def scan_by_scan() -> bytes:
    """A baseline JPEG whose first scan names one component of three."""
    data = bytearray(jpeg())
    scan = data.index(b"\xff\xda")
    length = struct.unpack(">H", data[scan + 2 : scan + 4])[0]
    data[scan : scan + 2 + length] = (
        b"\xff\xda" + struct.pack(">HB", 8, 1) + bytes([1, 0, 0, 63, 0])
    )
    return bytes(data)


def gif() -> bytes:
    data = bytearray(saved("GIF", mode="P"))
    data[6:10] = struct.pack("<HH", SIDE, SIDE)
    return bytes(data)


def bmp() -> bytes:
    data = bytearray(saved("BMP"))
    data[18:26] = struct.pack("<ii", SIDE, SIDE)
    return bytes(data)


def webp() -> bytes:
    data = bytearray(saved("WEBP", lossless=True))
    at = data.index(b"VP8L") + 9  # behind the chunk's length and the signature
    rest = struct.unpack("<I", data[at : at + 4])[0] >> 28 << 28
    data[at : at + 4] = struct.pack("<I", rest | (SIDE - 1) | (SIDE - 1) << 14)
    return bytes(data)


def tiff(*, width: int, length: int, tile: int = 0) -> bytes:
    """A grey TIFF, deflated."""
    data = zlib.compress(bytes(1000))
    entries = {256: width, 257: length, 258: 8, 259: 8, 262: 1, 277: 1}
    entries |= {322: tile, 323: tile} if tile else {278: length}
    entries |= {324: 8, 325: len(data)} if tile else {273: 8, 279: len(data)}
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries))
    return head + struct.pack("<H", len(entries)) + fields + bytes(4)


BOMBS = {
    "grey.png": png(),
    "progressive.jpg": jpeg(progressive=True),
    "scans.jpg": scan_by_scan(),
    "frames.gif": gif(),
    "true.bmp": bmp(),
    "lossless.webp": webp(),
    "strip.tif": tiff(width=SIDE, length=SIDE),
    "tile.tif": tiff(width=16, length=16, tile=SIDE),
    "raw.ppm": b"P6 12000 12000 255\n" + bytes(100),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_picture_bomb_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def decoded(*_: object) -> None:
        raise AssertionError("it was decoded")

    assert len(BOMBS[name]) < 20_000
    (tmp_path / name).write_bytes(BOMBS[name])
    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    with pytest.raises(PictureTooLarge) as caught:
        check_picture(tmp_path / name, "data")
    assert isinstance(caught.value, InvalidData)
    for part in (name, "144 MP", "64 MP", "NETGRAFT_PICTURE_MEGAPIXELS"):
        assert part in caught.value.sentence("en")
        assert part in caught.value.sentence("zh")


def test_what_pillow_itself_refuses_is_reported_alike(tmp_path: Path) -> None:
    file = tmp_path / "huge.bmp"
    file.write_bytes(bmp()[:18] + struct.pack("<ii", 40_000, 40_000) + bmp()[26:])
    with pytest.raises(PictureTooLarge, match=r"huge\.bmp is 1,600 MP large"):
        check_picture(file, "data")


def test_text_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(2**24), 9)
    international = chunk(b"iTXt", b"k\0\1\0\0\0" + packed)
    for name, bomb in (("z", chunk(b"zTXt", b"k\0\0" + packed)), ("i", international)):
        file = tmp_path / f"{name}.png"
        file.write_bytes(png(bomb, side=8))
        with pytest.raises(InvalidData, match=f"{name}.png is damaged"):
            check_picture(file, "data")


def test_a_photograph_above_the_limit_is_decoded_at_a_fraction(tmp_path: Path) -> None:
    file = tmp_path / "camera.jpg"
    Image.new("L", (9_000, 8_000), 77).save(file)  # 72 megapixels
    check_picture(file, "data")
    assert open_picture(file, "data", 300).size == (1_125, 1_000)
    large = open_picture(file, "data", 6_000)
    assert large.size == (4_500, 4_000), "less than asked for, for all of it would be too much"
    assert large.getpixel((1, 1)) == (77, 77, 77)


def test_the_limit_is_a_setting(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = root / "x.png"
    Image.new("L", (2_000, 1_000)).save(file)
    check_picture(file, "data")
    monkeypatch.setenv("NETGRAFT_PICTURE_MEGAPIXELS", "1")
    settings.cache_clear()
    with pytest.raises(PictureTooLarge, match="2,000 × 1,000 px"):
        check_picture(file, "data")


def test_a_file_larger_than_any_picture_is_not_read(root: Path) -> None:
    file = root / "x.webp"
    with file.open("wb") as stream:
        stream.truncate(2**31)  # takes no disk
    with pytest.raises(PictureTooLarge, match="2,048 MiB"):
        check_picture(file, "data")


def test_a_program_in_a_pictures_clothes_is_not_run(tmp_path: Path) -> None:
    """Pillow would give PostScript to Ghostscript, whatever the file is called."""
    file = tmp_path / "x.png"
    file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(InvalidData, match="is not a picture"):
        check_picture(file, "data")


def test_many_large_pictures_are_not_decoded_at_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_PICTURE_MEGAPIXELS", "1")
    settings.cache_clear()
    for name in ("a", "b"):
        (root / name).mkdir()
        for index in range(4):
            Image.new("L", (800, 800)).save(root / name / f"{index}.png")
    load, lock, now, most = ImageFile.ImageFile.load, threading.Lock(), [0], [0]

    def counted(self: ImageFile.ImageFile) -> object:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        try:
            return load(self)
        finally:
            with lock:
                now[0] -= 1

    monkeypatch.setattr(ImageFile.ImageFile, "load", counted)
    check_pictures(open_data("."))
    assert most == [1]


class Idle:
    """A launcher that is never asked to start anything."""

    def capacity(self) -> Capacity:
        return Capacity(2, 0)

    def submit(self, job_id: str, submission: str) -> None:
        raise AssertionError("nothing may be started")

    def stop(self, submission: str) -> None:
        raise AssertionError("nothing runs")


class Starting(Idle):
    """A launcher whose runs the test carries out itself."""

    def submit(self, job_id: str, submission: str) -> None: ...


def test_a_job_on_a_picture_bomb_ends_before_its_first_step(root: Path, store: Store) -> None:
    edit = surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=2)
    model = SurgeryServicer(store).RetargetModel(edit).model.id
    for name in ("day", "night"):
        (root / name).mkdir()
        for index in range(3):
            (root / name / f"{index}.png").write_bytes(BOMBS["grey.png"])
    spec = tuning_pb2.TuningSpec(model=model, data=str(root), epochs=1, workers=1, batch_size=2)
    job = TuningServicer(store, Starting()).StartTuning(tuning_pb2.StartTuningRequest(spec=spec))
    with pytest.raises(PictureTooLarge, match=r"0\.png") as caught:
        run(job.id, Group(0, 1, torch.device("cpu")), store)
    assert status_name(caught.value) == "INVALID_ARGUMENT"
    kinds = {event.kind for event in TuningServicer(store).jobs.events_after(job.id, 0)[1]}
    assert Kind.STEP not in kinds
