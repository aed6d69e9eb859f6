"""Seconds to decode and reduce photographs for a data set, by ours and by other decoders.

    .venv/bin/python tests/bench/bench_decode.py [FOLDER] [--side 224] [--threads 2] [--rounds 5]

Each decoder reads every JPEG below FOLDER (without one: 398 that are drawn from the photographs
that installed packages carry) from memory, upright RGB with a short side of 1.15 × SIDE, by so many
threads. Rounds go over all decoders in turn, so that what else the machine does meets all alike;
wall-clock and CPU seconds are medians, and `ratio` compares CPU seconds with ours.

    netgraft     the product's `decode`
    pass         the product's whole pass: `decode`, reduction, and the facts for the checks
    pillow       Pillow's draft mode and resize, nothing else
    torchvision  torchvision.io.decode_jpeg, then Pillow's resize
    torchcodec, simplejpeg   the same with these, where they can be imported
"""

import argparse
import io
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from statistics import median
from sysconfig import get_path
from typing import Any

from PIL import Image

from netgraft.models.answering import resized
from netgraft.tuning.data.containers.memory import Memory
from netgraft.tuning.data.decode import decode
from netgraft.tuning.data.manifest import Manifest, Options
from netgraft.tuning.data.pixels import reduced
from netgraft.tuning.data.reading import Reading

Decoder = Callable[[bytes], Any]
DRAWN = 398


def photographs() -> list[bytes]:
    """JPEGs of 400 to 640 pixels, cut from photographs that installed packages carry."""
    packages = Path(get_path("purelib"))
    patterns = ("gradio/media_assets/images/*.jp*g", "sklearn/datasets/images/*.jpg")
    files = sorted(file for pattern in patterns for file in packages.glob(pattern))
    sources = [Image.open(file).convert("RGB") for file in files]
    choose = random.Random(0)
    made = []
    for index in range(DRAWN):
        source = sources[index % len(sources)]
        width = min(source.width, choose.randint(400, 640))
        height = min(source.height, choose.randint(330, 480))
        left = choose.randint(0, source.width - width)
        top = choose.randint(0, source.height - height)
        buffer = io.BytesIO()
        cut = source.crop((left, top, left + width, top + height))
        cut.save(buffer, "JPEG", quality=92)
        made.append(buffer.getvalue())
    return made


def decoders(short: int) -> Iterator[tuple[str, Decoder]]:
    """The decoders that this environment has, by name."""

    def netgraft(data: bytes) -> Image.Image:
        picture = decode(data, short).picture
        assert picture is not None
        return reduced(picture, short)

    def pillow(data: bytes) -> Image.Image:
        opened = Image.open(io.BytesIO(data))
        opened.draft("RGB", (short, short))
        return reduced(opened.convert("RGB"), short)

    yield "netgraft", netgraft
    yield "pillow", pillow
    with suppress(ImportError):
        yield "torchvision", _torchvision(short)
    with suppress(ImportError, RuntimeError):  # it lacks FFmpeg
        yield "torchcodec", _torchcodec(short)
    with suppress(ImportError):
        yield "simplejpeg", _simplejpeg(short)


def _torchvision(short: int) -> Decoder:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    def run(data: bytes) -> Image.Image:
        encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        x_CHW = decode_jpeg(encoded, mode=ImageReadMode.RGB)
        return reduced(Image.fromarray(x_CHW.permute(1, 2, 0).contiguous().numpy()), short)

    return run


def _torchcodec(short: int) -> Decoder:
    import torch
    from torchcodec.decoders import decode_jpeg

    def run(data: bytes) -> Image.Image:
        x_CHW = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        return reduced(Image.fromarray(x_CHW.permute(1, 2, 0).contiguous().numpy()), short)

    return run


def _simplejpeg(short: int) -> Decoder:
    from simplejpeg import decode_jpeg

    def run(data: bytes) -> Image.Image:
        return reduced(Image.fromarray(decode_jpeg(data, min_height=short, min_width=short)), short)

    return run


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall-clock and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def whole_pass(files: list[bytes], side: int, threads: int) -> None:
    """The product's pass over pictures in memory."""
    pictures = {f"{index}.jpg": data for index, data in enumerate(files)}
    count = len(files)
    manifest = Manifest(
        "memory", "folder", Options(), "classification", ("a",), tuple(pictures), (0,) * count,
        ("train",) * count, Memory(pictures),
    )  # fmt: skip
    Reading(manifest, side, threads=threads).finish().must_be_sound()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = given.folder
    files = [file.read_bytes() for file in sorted(folder.rglob("*.jp*g"))] if folder else []
    files = files or photographs()
    ways: dict[str, Callable[[], Any]] = {
        "pass": lambda: whole_pass(files, given.side, given.threads)
    }
    pool = ThreadPoolExecutor(given.threads)
    for name, decoder in decoders(resized(given.side, whole=False)):
        ways[name] = lambda decoder=decoder: list(pool.map(decoder, files))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for at in range(given.rounds + 1):
        for name, work in ways.items():
            seconds = timed(work)
            if at:  # the first round warms up
                found[name].append(seconds)
    ours = median(cpu for _, cpu in found["netgraft"])
    sys.stdout.write(
        f"{len(files)} JPEGs, {sum(map(len, files)) / 2**20:.1f} MiB, side {given.side}\n"
    )
    sys.stdout.write(f"{'':12} {'wall s':>8} {'CPU s':>8} {'ratio':>6}\n")
    for name, rounds in found.items():
        wall, cpu = (median(column) for column in zip(*rounds, strict=True))
        sys.stdout.write(f"{name:12} {wall:8.3f} {cpu:8.3f} {cpu / ours:6.2f}\n")


if __name__ == "__main__":
    main()
