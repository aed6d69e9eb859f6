"""A folder of pictures: one folder per class, optionally below `train` and `val`.

    flowers/daisy/1.jpg            flowers/train/daisy/1.jpg
    flowers/rose/2.jpg             flowers/val/rose/2.jpg

The classes are the folders in alphabetical order. Without a `val` a fifth of each class
is held out. Hidden files and files without a picture's suffix are ignored.
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from netgraft.errors import InvalidData, OutsideDataRoots
from netgraft.language import Message
from netgraft.models.untrusted.roots import inside, is_inside
from netgraft.tuning.data.dataset import Part
from netgraft.tuning.data.picture import PictureExamples, check_picture
from netgraft.tuning.data.split import hold_out

ENDINGS = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm"]
)
TRAIN_FOLDERS = ("train", "training")
HELD_OUT_FOLDERS = ("val", "valid", "validation", "test")
CHECK_THREADS = 8

_checked: set[str] = set()
"""Fingerprints of the data sets that this process has checked and found undamaged."""


@dataclass(frozen=True)
class Picture:
    """One file and its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class ImageFolder:
    """An opened folder."""

    root: Path
    class_names: tuple[str, ...]
    train: tuple[Picture, ...]
    held_out: tuple[Picture, ...]

    takes_any = True
    side = None

    @property
    def reference(self) -> str:
        return str(self.root)

    @classmethod
    def accepts(cls, reference: str) -> bool:
        return True

    @classmethod
    def open(cls, reference: str, roots: tuple[Path, ...]) -> Self:
        root = inside(reference, roots)
        if not root.is_dir():
            problem = Message("it is a file; give a folder of pictures.")
            raise InvalidData(data=reference, problem=problem)
        train_folder = _first_with_folders(root, TRAIN_FOLDERS)
        names = _class_names(train_folder or root, reference)
        pictures = _pictures(train_folder or root, names, roots, reference)
        held_out_folder = train_folder and _first_with_folders(root, HELD_OUT_FOLDERS)
        if held_out_folder:
            _same_classes(held_out_folder, names, reference)
            held_out = _pictures(held_out_folder, names, roots, reference)
            return cls(root, names, pictures, held_out)
        relative = [str(picture.path.relative_to(root)) for picture in pictures]
        train, held = hold_out(relative, [picture.label for picture in pictures])
        if not held:
            problem = Message(
                "every class has a single picture, so none can be held out to measure with."
            )
            raise InvalidData(data=reference, problem=problem)
        return cls(root, names, tuple(pictures[i] for i in train), tuple(pictures[i] for i in held))

    def size(self, part: Part) -> int:
        return len(self._pictures(part))

    def check(self) -> None:
        """Decode every picture, once per process as long as no file changes."""
        fingerprint = self._fingerprint()
        if fingerprint in _checked:
            return
        with ThreadPoolExecutor(CHECK_THREADS) as threads:
            paths = [picture.path for picture in (*self.train, *self.held_out)]
            for _ in threads.map(partial(check_picture, data=self.reference), paths):
                pass
        _checked.add(fingerprint)

    def examples(self, part: Part, side: int) -> PictureExamples:
        pictures = self._pictures(part)
        paths = [picture.path for picture in pictures]
        return PictureExamples(paths, [p.label for p in pictures], side, self.reference)

    def _pictures(self, part: Part) -> tuple[Picture, ...]:
        return self.train if part == "train" else self.held_out

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for picture in (*self.train, *self.held_out):
            facts = picture.path.stat()
            digest.update(f"{picture.path}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
        return digest.hexdigest()


def _first_with_folders(root: Path, names: tuple[str, ...]) -> Path | None:
    """The first of the named folders that holds folders itself (else it is a class)."""
    return next((root / name for name in names if _folders(root / name)), None)


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _class_names(root: Path, data: str) -> tuple[str, ...]:
    names = tuple(folder.name for folder in _folders(root))
    if not names:
        has_files = any(path.suffix.lower() in ENDINGS for path in root.iterdir())
        problem = (
            Message(
                "its pictures are in no class: put those of each class into a folder of its own."
            )
            if has_files
            else Message("it is empty: give a folder with one folder of pictures per class.")
        )
        raise InvalidData(data=data, problem=problem)
    if len(names) == 1:
        problem = Message(
            "it has one class only ({name}); there must be two or more to tell apart.",
            name=names[0],
        )
        raise InvalidData(data=data, problem=problem)
    return names


def _same_classes(folder: Path, names: tuple[str, ...], data: str) -> None:
    unknown = {path.name for path in _folders(folder)} - set(names)
    if unknown:
        problem = Message(
            "{folder} has classes that train lacks: {names}.",
            folder=folder.name,
            names=sorted(unknown),
        )
        raise InvalidData(data=data, problem=problem)


def _pictures(
    root: Path, names: tuple[str, ...], roots: tuple[Path, ...], data: str
) -> tuple[Picture, ...]:
    found: list[Picture] = []
    for label, name in enumerate(names):
        before = len(found)
        found += (Picture(path, label) for path in _files(root / name, roots))
        if len(found) == before and root.name not in HELD_OUT_FOLDERS:
            problem = Message("its class {name!r} has no pictures.", name=name)
            raise InvalidData(data=data, problem=problem)
    if not found:
        problem = Message("{folder} has no pictures.", folder=root.name)
        raise InvalidData(data=data, problem=problem)
    return tuple(found)


def _files(folder: Path, roots: tuple[Path, ...]) -> Iterator[Path]:
    """Pictures below a folder in a fixed order. Raises OutsideDataRoots."""
    if not folder.is_dir():
        return
    _hold(folder, roots)
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(path, roots)
        elif path.suffix.lower() in ENDINGS:
            if entry.is_symlink():
                _hold(path, roots)
            yield path


def _hold(path: Path, roots: tuple[Path, ...]) -> None:
    if path.is_symlink() and not is_inside(path.resolve(), roots):
        raise OutsideDataRoots(path=str(path), roots=", ".join(str(root) for root in roots))


KIND = ImageFolder
