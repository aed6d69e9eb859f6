"""Files as users have them: a path becomes a recipe that names content, never the path.

The path is held inside the data roots. The file is copied once, within a limit, hashed,
and looked at as far as is safe; what can be built or drawn goes into the store under its
SHA-256, what cannot is refused and not kept. Its own name stays for people only.
"""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from netgraft.errors import NoSuchFile, TooLarge, UnsupportedFile
from netgraft.models import bounds, hf, keras_module
from netgraft.models.formats import Format, display_name, format_of, member, tell
from netgraft.models.recipe import Base, HeadEdit, Recipe, UserFile
from netgraft.models.roots import inside
from netgraft.models.store import Store
from netgraft.settings import settings

if TYPE_CHECKING:
    from torch import nn

KIND = "files"
"""Where the store keeps users' files, each under its SHA-256."""
FOUND = "opened"
"""Where the store keeps what was found in them."""
VERSION = 2
"""Raised when more is found: older findings are then made anew."""
CHUNK = 2**20
LANGUAGES = "\t"
"""Between the English and the Chinese of a notice."""


@dataclass(frozen=True)
class Found:
    """What a file holds."""

    kind: str
    """A key of `formats.FORMATS`, or a suffix that Netron knows."""
    source: str = "file"
    """The library whose structure fits, or "file"."""
    name: str = ""
    weights: str | None = None
    task: str = ""
    input_shape: tuple[int, ...] = ()
    heads: tuple[HeadEdit, ...] = ()
    also: tuple[str, ...] = ()
    """Other names of the zoo that fit."""
    tensors: int = 0
    top_level: int = 0
    """Boxes that Netron shows at first; 0 where only Netron can tell."""
    nodes: int = 0
    parameters: int = 0
    """Elements of the weights; 0 where only Netron can tell."""
    config: str = ""
    """As `recipe.UserFile.config`."""


def open_file(reference: str, store: Store) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe of a model's file, and notices, each in English and Chinese.

    Raises NoSuchFile, OutsideDataRoots, UnsupportedFile, UnsafeFile and TooLarge.
    """
    path = inside(reference, settings().roots, NoSuchFile)
    name = display_name(path.name)
    if hf.is_folder(path):
        return hf.open_folder(path, name, store)
    with _copied(path, name) as copy:
        return open_copy(copy, name, store)


def open_copy(copy: Path, name: str, store: Store) -> tuple[Recipe, tuple[str, ...]]:
    """As `open_file`, of a file that nobody else changes; `name` is as `display_name` has it."""
    digest = _digest(copy)
    found = _remembered(store, digest, name) or _kept(copy, digest, name, store)
    return _opened_as(found, digest, name)


def known(digest: str, name: str, store: Store) -> tuple[Recipe, tuple[str, ...]] | None:
    """The recipe of content that the store has, under that name; None where it has not."""
    found = _remembered(store, digest, name)
    return _opened_as(found, digest, name) if found else None


def _opened_as(found: Found, digest: str, name: str) -> tuple[Recipe, tuple[str, ...]]:
    base = _base(found, digest, name)
    return Recipe(base), tuple(_notices(found, base, name))


def facts(base: Base, store: Store) -> Found:
    """What is known of a base's file. Raises FileNotFoundError when the store lost it."""
    assert base.file is not None
    file = base.file
    if found := _remembered(store, file.sha256, file.name):
        return found
    with tempfile.NamedTemporaryFile() as copy:
        copy.write(content(base, store))
        copy.flush()
        return _kept(Path(copy.name), file.sha256, file.name, store)


def content(base: Base, store: Store) -> bytes:
    """The bytes of a base's file. Raises FileNotFoundError."""
    assert base.file is not None
    return store.read(KIND, base.file.sha256)


def document_format(base: Base) -> Format | None:
    """The format in which Netron is shown a base's file; None when the base is drawn by us."""
    drawn = base.source == "file" and base.file is not None and not base.file.input_shape
    return format_of(base.file.kind) if drawn and base.file else None


def own_document(base: Base) -> str:
    """The name under which Netron gets a base's file, whatever its user called it."""
    assert base.file is not None
    return f"file{format_of(base.file.kind).suffix}"


# Reading


def too_large(name: str) -> TooLarge:
    """The error of a file above the limit."""
    return TooLarge(what=name, limit=f"{settings().file_mib:,} MiB (NETGRAFT_FILE_MIB)")


@contextmanager
def _copied(path: Path, name: str) -> Iterator[Path]:
    """A copy that cannot change while it is looked at. Raises UnsupportedFile and TooLarge."""
    limit = settings().file_bytes
    with tempfile.NamedTemporaryFile() as copy, _opened(path, name) as source:
        size = 0
        while data := source.read(CHUNK):
            size += len(data)
            if size > limit:
                raise too_large(name)
            copy.write(data)
        copy.flush()
        if size == 0:
            raise UnsupportedFile(path=name, problem="it is empty.")
        yield Path(copy.name)


@contextmanager
def _opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """A plain file to read; a pipe or a device would keep us for ever."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise UnsupportedFile(path=name, problem="it cannot be read.") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        problem = "it is a folder or no plain file; give a single file."
        raise UnsupportedFile(path=name, problem=problem)
    with os.fdopen(handle, "rb") as file:
        yield file


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kept(copy: Path, digest: str, name: str, store: Store) -> Found:
    """Look into a file and keep both, the file first: who finds the findings finds both."""
    found = _look(copy, name)
    store.put_path(KIND, digest, copy)
    store.put_file(FOUND, _record(digest, name), json.dumps(asdict(found)).encode())
    return found


def _remembered(store: Store, digest: str, name: str) -> Found | None:
    data = store.get_file(FOUND, _record(digest, name))
    if data is None:
        return None
    row: dict[str, Any] = json.loads(data)
    heads = tuple(HeadEdit(**head) for head in row["heads"])
    lists = {"input_shape": tuple(row["input_shape"]), "also": tuple(row["also"]), "heads": heads}
    return Found(**row | lists)


def _record(digest: str, name: str) -> str:
    """Content and suffix decide what is found, and whether Keras is there to build its files."""
    suffix = Path(name).suffix.lower() + ("+keras" if keras_module.is_installed() else "")
    return f"{digest}.{VERSION}.{hashlib.sha256(suffix.encode()).hexdigest()[:8]}.json"


# Looking


def _look(copy: Path, name: str) -> Found:
    with copy.open("rb") as file:
        kind = tell(file, copy.stat().st_size, name)
        file.seek(0)
        looks = {
            "torch": _look_at_pickle,
            "safetensors": _look_at_safetensors,
            "onnx": _look_at_onnx,
            "keras": _look_at_keras,
            "pt2": _look_at_pt2,
            "torchscript": _look_at_torchscript,
        }
        return looks[kind](file, name) if kind in looks else Found(kind)


def _look_at_pickle(file: BinaryIO, name: str) -> Found:
    from torch import nn

    from netgraft.models.unpickle import load, model_in

    model = model_in(load(file, name, "meta"))
    if isinstance(model, nn.Module):
        from netgraft.models.adoption import purpose

        task, shape = purpose(model)
        parameters = sum(value.numel() for value in model.parameters())
        return Found("module", task=task, input_shape=shape, parameters=parameters)
    if model is None:
        return Found("checkpoint")
    return _fitted("state_dict", {key: tuple(value.shape) for key, value in model.items()})


def _look_at_safetensors(file: BinaryIO, name: str) -> Found:
    entries = bounds.safetensors_header(file, name)
    try:
        shapes = {key: tuple(map(int, entry["shape"])) for key, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UnsupportedFile(path=name, problem="its header is damaged.") from error
    file.seek(0)
    header = int.from_bytes(file.read(8), "little")
    file.seek(0, os.SEEK_END)
    if file.tell() != 8 + header + end:
        raise UnsupportedFile(path=name, problem="it was cut short.")
    return _fitted("safetensors", shapes)


def _fitted(kind: str, shapes: dict[str, tuple[int, ...]]) -> Found:
    from math import prod

    from netgraft.models.adoption import find

    elements = sum(prod(shape) for shape in shapes.values())
    fit = find(shapes)
    if fit is None:
        layers = {key.rpartition(".")[0] for key in shapes}
        return Found(kind, tensors=len(shapes), top_level=len(layers), parameters=elements)
    base = fit.base
    return Found(
        kind,
        base.source,
        base.name,
        base.weights,
        heads=fit.heads,
        also=fit.also,
        tensors=len(shapes),
        parameters=elements,
    )


def _look_at_onnx(file: BinaryIO, name: str) -> Found:
    size = bounds.onnx_size(file, name)
    return Found("onnx", top_level=size.top_level, nodes=size.nodes, parameters=size.parameters)


def _look_at_keras(file: BinaryIO, name: str) -> Found:
    config = member(file, keras_module.CONFIG, name)
    nodes = bounds.check_words(config, b'"class_name"', name)
    whole = keras_module.is_buildable(config) and keras_module.has_weights(file)
    if not (whole and keras_module.is_installed()):
        return Found("keras", nodes=nodes)
    file.seek(0)
    module = keras_module.load(file, name)
    shape = keras_module.input_shape(module)
    parameters = sum(value.numel() for value in module.parameters())
    task = _task(module, shape) if shape else ""
    if not task:
        return Found("keras", nodes=nodes)
    said = json.dumps({"rescales": keras_module.rescales(module)})
    return Found("keras", task=task, input_shape=shape, parameters=parameters, config=said)


def _task(module: "nn.Module", shape: tuple[int, ...]) -> str:
    """What a module's answer to a picture makes it; "" where it does not answer."""
    import torch

    try:
        with torch.no_grad():
            out = module.to("meta").eval()(torch.zeros(2, *shape, device="meta"))
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError):
        return ""
    return "classification" if isinstance(out, torch.Tensor) and out.ndim == 2 else "unknown"


def _look_at_pt2(file: BinaryIO, name: str) -> Found:
    for part in ("models/model.json", "serialized_exported_program.json"):
        bounds.check_words(member(file, part, name), b'"target"', name)
    return Found("pt2")


def _look_at_torchscript(file: BinaryIO, name: str) -> Found:
    bounds.check_code(file, name)
    return Found("torchscript")


# Telling


def _base(found: Found, digest: str, name: str) -> Base:
    file = UserFile(
        digest, found.kind, name, found.task, found.input_shape, found.heads, found.config
    )
    return Base(found.source, found.name or name, found.weights, file=file)


def _notices(found: Found, base: Base, name: str) -> Iterator[str]:
    format_ = format_of(found.kind)
    if found.source != "file":
        zoo = base.name if base.source == "torchvision" else f"timm/{base.name}"
        classes = found.heads[0].after if found.heads else 0
        also = ", ".join(found.also)
        yield LANGUAGES.join(
            (
                f"{name} holds {found.tensors} tensors and no structure; their names and shapes "
                f"are those of {zoo}{f' with {classes} classes' if classes else ''}, so it is "
                f"drawn and built as that.{f' They also fit {also}.' if also else ''}",
                f"{name} 只含 {found.tensors} 个张量而没有结构；其名称和形状与 {zoo}"
                f"{f'（{classes} 类）' if classes else ''} 一致，因此按该结构绘制和构建。"
                f"{f'也符合 {also}。' if also else ''}",
            )
        )
    elif found.kind in ("state_dict", "safetensors"):
        yield LANGUAGES.join(
            (
                f"{name} holds {found.tensors} tensors and no structure, and no model of the zoo "
                "has tensors of these names and shapes: it is shown as it is.",
                f"{name} 只含 {found.tensors} 个张量而没有结构，且模型库中没有名称和形状与之一致"
                "的模型：按原样显示。",
            )
        )
    elif found.kind == "keras" and found.input_shape:
        yield LANGUAGES.join(
            (
                f"{name} is built of Keras's layers. A softmax or sigmoid at its end is left out: "
                "it answers with logits, as all models here do.",
                f"{name} 由 Keras 的层构建；末尾的 softmax 或 sigmoid 已略去："
                "与这里的其他模型一样，输出为 logits。",
            )
        )
    elif document_format(base):
        yield LANGUAGES.join(
            (
                f"{name} ({format_.label}) is shown as it is; it cannot be edited or trained.",
                f"{name}（{format_.label}）按原样显示；不能编辑或训练。",
            )
        )
