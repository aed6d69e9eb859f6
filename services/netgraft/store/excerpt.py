"""Reads the header of a safetensors file, and cuts a few tensors out as a file of their own.

The format (https://github.com/huggingface/safetensors#format): the header's length as 8
bytes, little-endian; the header, a JSON object from a tensor's name to its dtype, shape and
place among the bytes that follow.
"""

import json
from collections.abc import Container
from typing import Any, BinaryIO

LENGTH = 8
"""Bytes that hold the header's length."""
METADATA = "__metadata__"
"""The one name in a header that is no tensor's."""


def shapes(stream: BinaryIO) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor. Nothing but the header is read."""
    return {name: tuple(place["shape"]) for name, place in _header(stream)[1].items()}


def excerpt(stream: BinaryIO, names: Container[str]) -> bytes:
    """The bytes of a file with those tensors of `stream` that are named in `names`.

    Nothing else of the stream is read. It must be one that can seek.
    """
    length, places = _header(stream)
    header, parts, end = {}, [], 0
    for name, place in places.items():
        if name not in names:
            continue
        first, last = place["data_offsets"]
        stream.seek(LENGTH + length + first)
        parts.append(stream.read(last - first))
        header[name] = place | {"data_offsets": [end, end + last - first]}
        end += last - first
    text = json.dumps(header).encode()
    return b"".join((len(text).to_bytes(LENGTH, "little"), text, *parts))


def _header(stream: BinaryIO) -> tuple[int, dict[str, Any]]:
    """The header's length, and the entry of each tensor in it."""
    length = int.from_bytes(stream.read(LENGTH), "little")
    places: dict[str, Any] = json.loads(stream.read(length))
    return length, {name: place for name, place in places.items() if name != METADATA}
