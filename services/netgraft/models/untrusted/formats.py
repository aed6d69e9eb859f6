"""Find out by its content what kind of file a model lies in, and how Netron calls that.

Reads a few bytes and the directory of an archive, never a weight, and runs nothing.
"""

import re
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from netgraft.errors import UnsupportedFile
from netgraft.language import Message
from netgraft.models.untrusted import limits

LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of what torch.save wrote before archives (torch/serialization.py: MAGIC_NUMBER)."""

TORCH_SUFFIXES = frozenset(
    [
        ".pth",
        ".pt",
        ".ckpt",
        ".bin",
        ".pyt",
        ".pyth",
        ".torch",
        ".tckpt",
        ".chkpt",
        ".pytorch",
        ".model",
        ".weights",
        ".tar",
    ]
)
"""Suffixes of files that torch.save wrote."""


@dataclass(frozen=True)
class Format:
    """One kind of file."""

    kind: str
    suffix: str
    """Ending of the name that Netron is given; with the content it decides Netron's reader."""
    label: str
    """Its name in a sentence."""


FORMATS = {
    found.kind: found
    for found in (
        Format("module", ".pth", "PyTorch module"),
        Format("state_dict", ".pth", "state_dict"),
        Format("checkpoint", ".pth", "PyTorch checkpoint"),
        Format("torchscript", ".pt", "TorchScript"),
        Format("pt2", ".pt2", "PyTorch exported program"),
        Format("safetensors", ".safetensors", "safetensors"),
        Format("onnx", ".onnx", "ONNX"),
        Format("keras", ".keras", "Keras"),
        Format("hdf5", ".h5", "HDF5"),
        Format("tflite", ".tflite", "TensorFlow Lite"),
        Format("executorch", ".pte", "ExecuTorch"),
        Format("gguf", ".gguf", "GGUF"),
        Format("npy", ".npy", "NumPy"),
        Format("npz", ".npz", "NumPy"),
    )
}
"""Kinds that are known by their content."""

BY_NAME = frozenset(
    [
        ".pb",
        ".pbtxt",
        ".prototxt",
        ".caffemodel",
        ".mlmodel",
        ".mlpackage",
        ".mar",
        ".params",
        ".pdmodel",
        ".pdiparams",
        ".pdparams",
        ".cfg",
        ".weights",
        ".param",
        ".ncnn",
        ".mnn",
        ".tmfile",
        ".rknn",
        ".dlc",
        ".armnn",
        ".uff",
        ".tnnproto",
        ".tnnmodel",
        ".ms",
        ".mindir",
        ".circle",
        ".xmodel",
        ".kmodel",
        ".xml",
        ".mlnet",
        ".msgpack",
        ".om",
        ".nnp",
        ".nntxt",
        ".hkl",
        ".nnef",
        ".mlir",
        ".mlirbc",
        ".hn",
        ".har",
        ".dot",
        ".jax",
        ".cbm",
        ".espdl",
        ".kann",
        ".xgb",
        ".ubj",
        ".tosa",
        ".t7",
        ".net",
        ".cntk",
        ".dnn",
        ".model",
        ".joblib",
        ".pkl",
        ".pickle",
        ".json",
        ".txt",
        ".tar",
        ".zip",
        ".trt",
        ".engine",
        ".plan",
        ".ort",
        ".litertlm",
        ".bigdl",
    ]
)
"""Suffixes of other formats that Netron reads, and knows apart by itself."""

PATH_SUFFIXES = tuple(
    sorted(TORCH_SUFFIXES | BY_NAME | {found.suffix for found in FORMATS.values()} | {".hdf5"})
)
"""Suffixes that a model's file may have."""

UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
"""Errors of zipfile on a member that is damaged, encrypted or packed in an unknown way."""

LONGEST_NAME = 80
UNSHOWN = re.compile(r"[^\w .,+()=@-]")
"""Characters that mean something to HTML, a shell or a terminal: left out of a file's name."""


def format_of(kind: str) -> Format:
    """The format of a kind; one that is known by its suffix alone is made from that."""
    return FORMATS.get(kind) or Format(kind, f".{kind}", f".{kind}")


def display_name(name: str) -> str:
    """A file's name for people: one line, at most LONGEST_NAME characters, of plain letters.

    Letters of every script stay; control and direction characters, brackets, quotes and
    the like become "_".
    """
    plain = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    shown = UNSHOWN.sub("_", " ".join(plain.split())).strip(" .") or "model"
    if len(shown) <= LONGEST_NAME:
        return shown
    stem, dot, suffix = shown.rpartition(".")
    ending = dot + suffix if stem and len(suffix) <= 12 else ""
    return shown[: LONGEST_NAME - len(ending) - 1] + "…" + ending


def looks_like_path(text: str) -> bool:
    """True if a reference looks like a path."""
    paths = ("/", "./", "../", "~", ".\\", "\\")
    return text.startswith(paths) or text.lower().endswith(PATH_SUFFIXES)


def kind_of(file: BinaryIO, size: int, name: str) -> str:
    """The kind of a file: a key of FORMATS, "torch" (what torch.save wrote), or a suffix.

    `name` only helps where the content leaves it open. Raises UnsupportedFile and, for an
    archive that would unpack to too much, TooLarge.
    """
    suffix = name.lower()[name.rfind(".") :] if "." in name else ""
    head = file.read(64)
    file.seek(0)
    kind = _by_magic(head, size) or _by_structure(file, head, name)
    if kind:
        return kind
    if suffix in (".onnx", ".safetensors", ".h5", ".hdf5", ".keras", ".pt2", ".tflite", ".npz"):
        problem = Message(
            "its content is not what {suffix} says; the file may be damaged.", suffix=suffix
        )
        raise UnsupportedFile(path=name, problem=problem)
    if head[:1] == b"\x80" and suffix in TORCH_SUFFIXES:
        return "torch"
    if suffix in BY_NAME and size:
        return suffix[1:]
    problem = Message(
        "its format is not known. Known are {formats} and the other formats that Netron reads.",
        formats=(".pth", ".pt2", ".safetensors", ".onnx", ".keras", ".h5", ".tflite"),
    )
    raise UnsupportedFile(path=name, problem=problem)


def _by_magic(head: bytes, size: int) -> str:
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and 2 <= length <= size - 8:
        return "safetensors"
    starts = {
        LEGACY: "torch",
        b"\x89HDF\r\n\x1a\n": "hdf5",
        b"GGUF": "gguf",
        b"\x93NUMPY": "npy",
    }
    inner = {b"TFL3": "tflite", b"ET12": "executorch"}
    found = next((kind for magic, kind in starts.items() if head.startswith(magic)), "")
    return found or inner.get(head[4:8], "")


def _by_structure(file: BinaryIO, head: bytes, name: str) -> str:
    if head.startswith(b"PK\x03\x04"):
        return _archive(file, name)
    if limits.is_onnx(file):
        return "onnx"
    return ""


def _archive(file: BinaryIO, name: str) -> str:
    members = limits.members(file, name)
    tails = {member.partition("/")[2] for member in members} | set(members)
    if {"archive_format", "serialized_exported_program.json"} & tails:
        return "pt2"
    if "constants.pkl" in tails or any(member.startswith("code/") for member in tails):
        return "torchscript"
    if "data.pkl" in tails:
        return "torch"
    if "config.json" in members and {"metadata.json", "model.weights.h5"} & set(members):
        return "keras"
    if members and all(member.endswith(".npy") for member in members):
        return "npz"
    return ""


def member(file: BinaryIO, tail: str, name: str) -> bytes:
    """The member of an archive at `tail`, below its one folder or at the top; b"" if none.

    Raises UnsupportedFile.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for found in archive.namelist():
                if found == tail or found.partition("/")[2] == tail:
                    return archive.read(found)
    except UNREADABLE as error:
        problem = Message("its archive is damaged, or was cut short.")
        raise UnsupportedFile(path=name, problem=problem) from error
    return b""
