"""Small trees of files that are pictures by name and first bytes: parsing opens none."""

from collections.abc import Iterable
from pathlib import Path

from netgraft.tuning.data import Manifest

JPEG = b"\xff\xd8\xff\xe0" + bytes(60)


def plant(folder: Path, paths: Iterable[str], content: bytes = JPEG) -> Path:
    """Write files by their paths below a folder; those that end in "/" are empty folders."""
    for path in paths:
        target = folder / path
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return folder


def numbered(folder: str, count: int, start: int = 0) -> list[str]:
    """Paths of pictures in a folder."""
    return [f"{folder}/{index}.jpg" for index in range(start, start + count)]


def classes_of(manifest: Manifest) -> dict[str, str]:
    """The class of each picture by its name."""
    pairs = zip(manifest.names, manifest.labels, strict=True)
    return {name: manifest.class_names[label] for name, label in pairs}


def sizes(manifest: Manifest) -> tuple[int, int, int]:
    """Number of pictures to train on, held out and kept apart."""
    return manifest.size("train"), manifest.size("held_out"), manifest.size("test")
