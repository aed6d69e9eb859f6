"""Refuse files that would cost too much, before anything is unpacked, parsed or drawn.

A file of few bytes can stand for very much: an archive that unpacks to terabytes, a
protobuf message of millions of nodes in two bytes each. Here sizes are read from
directories and wire formats, within fixed time and memory; one error refuses what is too large.
"""

import json
import mmap
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from netgraft.errors import TooLarge, UnsupportedFile
from netgraft.language import Message
from netgraft.settings import settings

MOST_NODES = 50_000
"""Nodes of the largest graph that a browser can lay out."""
MOST_FIELDS = 3_000_000
"""Fields of a protobuf message that are looked at."""
MOST_DIRECTORY = 16 * 2**20
"""Bytes of an archive's directory, about 200,000 members."""
MOST_TEXT = 64 * 2**20
"""Bytes of a description in JSON, code or pickle inside a file."""
MOST_CODE = 8 * 2**20
"""Bytes of a TorchScript's code, about 100,000 lines."""
DEEPEST = 32
"""Graphs within graphs."""

END = b"PK\x05\x06"
END_64 = b"PK\x06\x06"
END_BYTES = 22
LONGEST_COMMENT = 2**16


def members(file: BinaryIO, name: str) -> list[str]:
    """Names of an archive's members. Raises UnsupportedFile and TooLarge.

    The sizes that the directory states hold: what unpacks to more is cut there.
    """
    limit = settings().file_bytes
    check_directory(file, name)
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        problem = Message("its archive is damaged, or was cut short.")
        raise UnsupportedFile(path=name, problem=problem) from error
    finally:
        file.seek(0)
    if sum(info.file_size for info in infos) > limit:
        what = Message("{name}, unpacked,", name=name)
        raise TooLarge(what=what, limit=f"{limit // 2**20:,} MiB")
    descriptions = (".json", ".pkl", ".py")
    for info in infos:
        if info.filename.endswith(descriptions) and info.file_size > MOST_TEXT:
            what = Message("the description inside {name}", name=name)
            raise TooLarge(what=what, limit=f"{MOST_TEXT // 2**20} MiB")
    return [info.filename for info in infos]


def check_directory(file: BinaryIO, name: str, most: int = MOST_DIRECTORY) -> None:
    """Check the size of an archive's directory, because zipfile reads all of it.

    Raises TooLarge.
    """
    file.seek(0, 2)
    size = file.tell()
    file.seek(max(0, size - END_BYTES - LONGEST_COMMENT - 128))
    tail = file.read()
    at = tail.rfind(END)
    directory = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    at_64 = tail.rfind(END_64)
    if at_64 >= 0:
        directory = max(
            directory if directory < 2**32 - 1 else 0,
            int.from_bytes(tail[at_64 + 40 : at_64 + 48], "little"),
        )
    file.seek(0)
    if directory > most:
        what = Message("the archive's directory of {name}", name=name)
        raise TooLarge(what=what, limit=f"{most // 2**20} MiB")


def check_code(file: BinaryIO, name: str) -> None:
    """Raise TooLarge when a TorchScript's code is too long to be drawn."""
    with zipfile.ZipFile(file) as archive:
        code = [found for found in archive.infolist() if found.filename.endswith(".py")]
    if sum(found.file_size for found in code) > MOST_CODE:
        what = Message("the code in {name}", name=name)
        raise TooLarge(what=what, limit=f"{MOST_CODE // 2**20} MiB")


# ONNX, off the wire (protobuf.dev/programming-guides/encoding; onnx/onnx.proto)

MODEL_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
"""ModelProto's fields and their wire types."""
GRAPH = 7


@dataclass
class OnnxSize:
    """The counts of an ONNX file."""

    top_level: int = 0
    nodes: int = 0
    parameters: int = 0
    """Elements of the top graph's initializers."""
    fields: int = 0


def is_onnx(file: BinaryIO) -> bool:
    """True if a file is a ModelProto with a graph, as far as its outermost fields go."""
    with _mapped(file) as data:
        try:
            found: list[int] = []
            for number, kind, _, _ in _fields(data, 0, len(data)):
                if MODEL_FIELDS.get(number) != kind:
                    return False
                found.append(number)
                if len(found) > MOST_FIELDS:
                    return False
        except ValueError:
            return False
        return GRAPH in found


def onnx_size(file: BinaryIO, name: str) -> OnnxSize:
    """The size of an ONNX file's graph. Raises TooLarge and UnsupportedFile."""
    counted = OnnxSize()
    with _mapped(file) as data:
        try:
            for number, _, start, end in _fields(data, 0, len(data)):
                if number == GRAPH:
                    _count_graph(data, start, end, counted, name, depth=0)
                elif number == 25:  # functions
                    _count_graph(data, start, end, counted, name, depth=1, node_field=7)
        except ValueError as error:
            problem = Message("it is damaged, or was cut short.")
            raise UnsupportedFile(path=name, problem=problem) from error
    return counted


def _graph_of(name: str) -> Message:
    return Message("the graph of {name}", name=name)


def _count_graph(
    data: mmap.mmap,
    start: int,
    end: int,
    counted: OnnxSize,
    name: str,
    depth: int,
    node_field: int = 1,
) -> None:
    if depth > DEEPEST:
        limit = Message("{most} graphs within each other", most=DEEPEST)
        raise TooLarge(what=_graph_of(name), limit=limit)
    for number, kind, inner, stop in _fields(data, start, end):
        _count_field(counted, name)
        if number == node_field and kind == 2:
            counted.nodes += 1
            counted.top_level += depth == 0
            if counted.nodes > MOST_NODES:
                raise TooLarge(
                    what=_graph_of(name), limit=Message("{most:,} nodes", most=MOST_NODES)
                )
            _count_node(data, inner, stop, counted, name, depth)
        elif number == 5 and kind == 2 and depth == 0:
            counted.parameters += _elements(data, inner, stop)


def _count_node(
    data: mmap.mmap, start: int, end: int, counted: OnnxSize, name: str, depth: int
) -> None:
    for number, kind, inner, stop in _fields(data, start, end):
        _count_field(counted, name)
        if number != 5 or kind != 2:  # attributes only
            continue
        for part, part_kind, graph, graph_end in _fields(data, inner, stop):
            _count_field(counted, name)
            if part in (6, 11) and part_kind == 2:  # a graph, graphs
                _count_graph(data, graph, graph_end, counted, name, depth + 1)


def _count_field(counted: OnnxSize, name: str) -> None:
    counted.fields += 1
    if counted.fields > MOST_FIELDS:
        raise TooLarge(what=_graph_of(name), limit=Message("{most:,} fields", most=MOST_FIELDS))


def _elements(data: mmap.mmap, start: int, end: int) -> int:
    """Elements of a TensorProto, by its dims."""
    count = 1
    for number, kind, value, stop in _fields(data, start, end):
        if number == 1 and kind == 0:
            count *= value
        elif number == 1 and kind == 2:
            at = value
            while at < stop:
                dim, at = _varint(data, at, stop)
                count *= dim
        elif number > 1:
            break
    return count if count < 2**63 else 0


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Fields of a message: number, wire type, and the bounds of its value (kind 0: the value).

    Raises ValueError where the bytes are none.
    """
    at = start
    while at < end:
        tag, at = _varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(data, at, end)
            yield number, kind, value, at
            continue
        if kind == 2:
            length, at = _varint(data, at, end)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("not a wire type")
        if number == 0 or at + length > end:
            raise ValueError("not a message")
        yield number, kind, at, at + length
        at += length


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("not a number")


def _mapped(file: BinaryIO) -> mmap.mmap:
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


# Descriptions in JSON


def safetensors_header(file: BinaryIO, name: str) -> dict[str, Any]:
    """The header of a safetensors file. Raises TooLarge and UnsupportedFile."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > MOST_TEXT:
        what = Message("the header of {name}", name=name)
        raise TooLarge(what=what, limit=f"{MOST_TEXT // 2**20} MiB")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        problem = Message("it is damaged, or was cut short.")
        raise UnsupportedFile(path=name, problem=problem) from error
    finally:
        file.seek(0)
    entries = {key: value for key, value in header.items() if key != "__metadata__"}
    if len(entries) > MOST_NODES:
        what = Message("the list of tensors of {name}", name=name)
        raise TooLarge(what=what, limit=f"{MOST_NODES:,}")
    return entries


def check_words(text: bytes, word: bytes, name: str) -> int:
    """Count a word that each node has once: the number of nodes. Raises TooLarge."""
    count = text.count(word)
    if count > MOST_NODES:
        raise TooLarge(what=_graph_of(name), limit=Message("{most:,} nodes", most=MOST_NODES))
    return count
