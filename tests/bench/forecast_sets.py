"""The pictures of bench_forecast.py, written out as folders of classes. Run by hand, once:

    python tests/bench/forecast_sets.py OUT --photographs FOLDER --fashion FOLDER \
        --signs GIT --clothing GIT --faces GIT --tiles GIT

GIT: a bare clone of the public repository that RESULTS.md names, with the commit that it names.
Sets to fit by go to OUT/fit, those that measure to OUT/test: no picture is in both. `digits`, by
which it is fitted too, comes with netgraft.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench_tuning import unzipped
from PIL import Image

EACH = 200
"""Pictures of a class, at most."""
UPPER = ("dress", "longsleeve", "outwear", "shirt", "t-shirt")
LOWER = ("hat", "pants", "shoes", "shorts", "skirt")
FACES = ("anger", "happiness", "neutral", "sadness", "surprise")
TILES = ("Blowhole", "Break", "Crack", "Free", "Uneven")

File = tuple[str, str, bytes]
"""Class, name and contents."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    for name in ("photographs", "fashion", "signs", "clothing", "faces", "tiles"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    out: Path = given.out
    digits = [str(each) for each in range(10)]
    write(out / "fit/signs", in_folders(given.signs, "Dataset", digits, range(80)))
    write(out / "fit/hands", in_folders(given.signs, "Dataset", digits[:5], range(80, EACH)))
    write(out / "fit/fists", in_folders(given.signs, "Dataset", digits[5:7], range(80, EACH)))
    write(out / "test/upper", in_folders(given.clothing, "train", UPPER))
    write(out / "test/lower", in_folders(given.clothing, "train", LOWER))
    write(out / "test/faces", faces(given.faces))
    write(out / "test/tiles", tiles(given.tiles))
    write_fashion(given.fashion, out / "test/fashion")
    shutil.copytree(given.photographs, out / "test/photographs", dirs_exist_ok=True)
    for folder in sorted(out.glob("*/*")):
        sys.stdout.write(f"{folder.relative_to(out)}: {described(folder)}\n")


def files(repository: Path, *under: str) -> Iterator[str]:
    """The files of the newest commit."""
    command = ["git", f"--git-dir={repository}", "ls-tree", "-r", "--name-only", "HEAD", *under]
    yield from subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split(
        "\n"
    )[:-1]


def contents(repository: Path, name: str) -> bytes:
    command = ["git", f"--git-dir={repository}", "show", f"HEAD:{name}"]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def in_folders(
    repository: Path, under: str, classes: Iterable[str], some: range = range(EACH)
) -> Iterator[File]:
    """Pictures in a folder for each class; of each the `some`."""
    for label in classes:
        for name in sorted(files(repository, f"{under}/{label}/"))[some.start : some.stop]:
            yield label, Path(name).name, contents(repository, name)


def faces(repository: Path) -> Iterator[File]:
    """Faces by the emotion that a table names."""
    rows = contents(repository, "data/legend.csv").decode().splitlines()[1:]
    named = sorted((row.split(",")[2].lower(), row.split(",")[1]) for row in rows)
    there = set(files(repository, "images/"))
    for label in FACES:
        own = [name for each, name in named if each == label and f"images/{name}" in there]
        for name in own[:EACH]:
            yield label, name, contents(repository, f"images/{name}")


def tiles(repository: Path) -> Iterator[File]:
    """Magnetic tiles by their defect; the masks beside them are PNG and left."""
    for label in TILES:
        own = files(repository, f"Magnetic-Tile-Defect/MT_{label}/Imgs/")
        for name in sorted(each for each in own if each.endswith(".jpg"))[:EACH]:
            yield label, Path(name).name, contents(repository, name)


def write(folder: Path, found: Iterable[File]) -> None:
    for label, name, data in found:
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / name).write_bytes(data)


def write_fashion(source: Path, folder: Path) -> None:
    """The first pictures of the test part of Fashion-MNIST, as PNG."""
    images = unzipped(source / "t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = unzipped(source / "t10k-labels-idx1-ubyte.gz", 8)
    for index in range(1_200):
        place = folder / f"class{labels[index]}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[index]).save(place / f"{index:05d}.png")


def described(folder: Path) -> str:
    """The number of pictures, and the SHA-256 over names and contents."""
    digest, count = hashlib.sha256(), 0
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
        count += 1
    return f"{count} pictures, SHA-256 {digest.hexdigest()}"


if __name__ == "__main__":
    main()
