"""Copy a folder that `save_pretrained` wrote, so that no link leads out and nothing changes."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from netgraft.errors import NetgraftError, UnsupportedFile
from netgraft.language import Message
from netgraft.models.sources.huggingface import config as hf_config
from netgraft.models.untrusted import limits, safe_open
from netgraft.models.untrusted.formats import display_name

WHOLE, INDEX, SHARDS = "model.safetensors", "model.safetensors.index.json", "model-*.safetensors"
ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class Copy:
    """The files of the folder that are read."""

    folder: Path
    """With the weights and their index; it is there as long as the copy is open."""
    config: dict[str, Any]
    pictures: dict[str, Any]
    """preprocessor_config.json; {} without that file."""
    elements: int
    """Of all tensors together."""
    digest: str
    """SHA-256 of all this."""


def is_whole(folder: Path) -> bool:
    """True if all of a model's files seem to be in a folder."""
    if (folder / WHOLE).exists():
        return True
    index = folder / INDEX
    try:
        return index.exists() and all((folder / shard).exists() for shard in shards(index, ""))
    except NetgraftError:
        return False


def shards(index: Path, name: str) -> list[str]:
    """The files that an index says tensors lie in, sorted. Raises UnsupportedFile and TooLarge."""
    places = _text(index, name).get("weight_map")
    if not places or not isinstance(places, dict):
        raise UnsupportedFile(path=name, problem=Message("its {file} is damaged.", file=INDEX))
    return sorted({str(place) for place in places.values()})


@contextmanager
def copied(folder: Path, within: Path, name: str) -> Iterator[Copy]:
    """A private copy of the files that make a model; no link among them leads out of `within`.

    Raises UnsupportedFile and TooLarge.
    """
    if os.path.lexists(folder / ADAPTER):
        problem = Message(
            "it holds an adapter ({file}): merge that into the weights first.", file=ADAPTER
        )
        raise UnsupportedFile(path=name, problem=problem)
    names = [WHOLE, INDEX, *sorted(file.name for file in folder.glob(SHARDS))]
    texts, digest = {}, hashlib.sha256()
    size = 0
    with tempfile.TemporaryDirectory(prefix="netgraft-hf-") as private:
        for file in (hf_config.CONFIG, hf_config.PICTURES, *names):
            if not os.path.lexists(folder / file):
                continue
            copy = Path(private, file)
            more, sha256 = _copy(folder / file, copy, within.resolve(), name, size)
            size += more
            digest.update(f"{file} {sha256}\n".encode())
            if file in (hf_config.CONFIG, hf_config.PICTURES):
                texts[file] = _text(copy, name)
                copy.unlink()  # what is left to transformers are tensors
        here = Path(private)
        yield Copy(
            here,
            texts.get(hf_config.CONFIG, {}),
            texts.get(hf_config.PICTURES, {}),
            _elements(_weights(here, name), name),
            digest.hexdigest(),
        )


def _copy(file: Path, copy: Path, within: Path, name: str, before: int) -> tuple[int, str]:
    place = file.resolve()
    if not place.is_relative_to(within):
        problem = Message("{file} is, or leads to, a file outside its folder.", file=file.name)
        raise UnsupportedFile(path=name, problem=problem)
    shown = f"{name}/{file.name}"
    with (
        safe_open.full_disk_is_reported(),
        copy.open("wb") as out,
        safe_open.opened(place, shown, (within,)) as data,
    ):
        return safe_open.copy(data, out, shown, safe_open.of_hugging_face(), before)


def _text(file: Path, name: str) -> dict[str, Any]:
    with file.open("rb") as text:
        return hf_config.read(text.read(hf_config.LARGEST_TEXT + 1), file.name, name)


def _weights(folder: Path, name: str) -> list[Path]:
    """The files of a copied folder that hold tensors. Raises UnsupportedFile."""
    if (folder / WHOLE).exists():
        return [folder / WHOLE]
    if not (folder / INDEX).exists():
        problem = Message("its weights are missing; it needs {file}.", file=WHOLE)
        raise UnsupportedFile(path=name, problem=problem)
    listed = shards(folder / INDEX, name)
    here = {file.name for file in folder.glob(SHARDS)}
    for stray in set(listed) - here:
        shown = display_name(stray)
        problem = Message("{file} is, or leads to, a file outside its folder.", file=shown)
        raise UnsupportedFile(path=name, problem=problem)
    return [folder / shard for shard in listed]


def _elements(files: list[Path], name: str) -> int:
    from safetensors import SafetensorError, safe_open

    total = 0
    for path in files:
        with path.open("rb") as file:
            limits.safetensors_header(file, name)
        try:
            with safe_open(path, "pt") as tensors:
                total += sum(prod(tensors.get_slice(key).get_shape()) for key in tensors.keys())  # noqa: SIM118  # no dictionary
        except SafetensorError as error:
            problem = Message("its {file} is damaged, or was cut short.", file=path.name)
            raise UnsupportedFile(path=name, problem=problem) from error
    return total
