"""Small drawn data sets: noisy grounds with a shape on each, the same bytes every time."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from netgraft.tuning.data.checks import check_all
from netgraft.tuning.data.checks.finding import Finding, Seen
from netgraft.tuning.data.containers.memory import Memory
from netgraft.tuning.data.manifest import Manifest, Options, Part
from netgraft.tuning.data.reading import Reading

SIDE = 96


def drawing(kind: int, seed: int, side: int = SIDE) -> Image.Image:
    """A picture of class `kind`, 0 to 2: a disc, a box or a bar, anywhere on noise."""
    random = np.random.default_rng(seed * 3 + kind)
    ground = random.normal(random.integers(40, 110), 18, (side, side, 3))
    picture = Image.fromarray(ground.clip(0, 255).astype(np.uint8))
    size = int(random.integers(side // 4, side // 2))
    x, y = (int(value) for value in random.integers(1, side - size - 1, 2))
    colour = tuple(int(value) for value in random.integers(150, 256, 3))
    draw = ImageDraw.Draw(picture)
    if kind == 0:
        draw.ellipse((x, y, x + size, y + size), fill=colour)
    elif kind == 1:
        draw.rectangle((x, y, x + size, y + size), fill=colour)
    else:
        draw.rectangle((x, y + size // 3, x + size, y + size // 2), fill=colour)
    return picture


def encoded(picture: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def drawn(
    count: int, kinds: Sequence[str] = ("box", "disc"), start: int = 0, **options: Any
) -> dict[str, bytes]:
    """Files KIND/0000.jpg and so on, by their names."""
    return {
        f"{name}/{index:04d}.jpg": encoded(drawing(at, index), **options)
        for at, name in enumerate(kinds)
        for index in range(start, start + count)
    }


def manifest(pictures: Mapping[str, bytes], *, parts: Mapping[str, Part] | None = None) -> Manifest:
    """A manifest of files in memory: the class is the last folder, the part the first one's."""
    names = tuple(sorted(pictures))
    classes = tuple(sorted({name.split("/")[-2] for name in names}))
    return Manifest(
        reference="memory",
        kind="folder",
        options=Options(),
        task="classification",
        class_names=classes,
        names=names,
        labels=tuple(classes.index(name.split("/")[-2]) for name in names),
        parts=tuple((parts or {}).get(name.split("/", 1)[0], "train") for name in names),
        container=Memory(dict(pictures)),
        made_split=parts is None,
    )


def seen(pictures: Mapping[str, bytes], **options: Any) -> Seen:
    return Reading(manifest(pictures, **options), keep=False).finish().seen


def found(pictures: Mapping[str, bytes], **options: Any) -> dict[str, Finding]:
    """The findings of files in memory, but notes and what made-up manifests lack, by kind."""
    findings = check_all(seen(pictures, **options))
    return {each.kind: each for each in findings if each.kind != "no_held_out"}


def written(folder: Path, pictures: Mapping[str, bytes]) -> Path:
    for name, data in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
