"""Files as users have them: a path becomes a recipe that names content, never the path.

The path is held inside the data roots. The file is copied once, within a limit, hashed,
and looked at as far as is safe; what can be built or drawn goes into the store under its
SHA-256, what cannot is refused and not kept. Its own name stays for people only.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from netgraft.errors import NoSuchFile, UnsupportedFile
from netgraft.language import Message
from netgraft.models.files.inspect import Found, look
from netgraft.models.recipe import Base, HeadEdit, Recipe, UserFile
from netgraft.models.resolve import LANGUAGES
from netgraft.models.sources.keras import archive as keras_archive
from netgraft.models.untrusted import safe_open
from netgraft.models.untrusted.formats import Format, display_name, format_of
from netgraft.models.untrusted.roots import inside
from netgraft.settings import settings
from netgraft.store.store import Store

KIND = "files"
"""Where the store keeps users' files, each under its SHA-256."""
FOUND = "opened"
"""Where the store keeps what was found in them."""
VERSION = 3
"""Raised when more is found: older findings are then made anew."""


def open_file(reference: str, store: Store) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe of a model's file, and notices, each in English and Chinese.

    Raises NoSuchFile, OutsideDataRoots, UnsupportedFile, UnsafeFile and TooLarge.
    """
    path = inside(reference, settings().roots, NoSuchFile)
    name = display_name(path.name)
    if (path / "config.json").is_file():  # what save_pretrained writes
        from netgraft.models import huggingface

        return huggingface.open_folder(path, name, store)
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


@contextmanager
def _copied(path: Path, name: str) -> Iterator[Path]:
    """A copy that cannot change while it is looked at. Raises UnsupportedFile and TooLarge."""
    roots = settings().roots
    with tempfile.NamedTemporaryFile() as out, safe_open.opened(path, name, roots) as source:
        with safe_open.room():
            size, _ = safe_open.copy(source, out, name, safe_open.of_files())
        if size == 0:
            raise UnsupportedFile(path=name, problem=Message("it is empty."))
        yield Path(out.name)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kept(copy: Path, digest: str, name: str, store: Store) -> Found:
    """Look into a file and keep both, the file first: who finds the findings finds both."""
    found = look(copy, name)
    store.put_path(KIND, digest, copy)
    store.put_file(FOUND, _record(digest, name), json.dumps(asdict(found)).encode())
    return found


def _remembered(store: Store, digest: str, name: str) -> Found | None:
    data = store.get_file(FOUND, _record(digest, name))
    if data is None:
        return None
    row: dict[str, Any] = json.loads(data)
    heads = tuple(HeadEdit(**head) for head in row["heads"])
    tuples = {key: tuple(row[key]) for key in ("input_shape", "also", "lacking")}
    lists = {**tuples, "heads": heads}
    return Found(**row | lists)


def _record(digest: str, name: str) -> str:
    """Content and suffix decide what is found, and whether Keras is there to build its files."""
    suffix = Path(name).suffix.lower() + ("+keras" if keras_archive.is_installed() else "")
    return f"{digest}.{VERSION}.{hashlib.sha256(suffix.encode()).hexdigest()[:8]}.json"


# Telling


def _near(found: Found) -> str:
    if not found.near:
        return ""
    named = ", ".join(found.lacking) + (", …" if found.lacks > len(found.lacking) else "")
    return (
        f" Nearest is {found.near}; of its {found.of} tensors {found.lacks} are missing or of "
        f"another shape: {named}."
    )


def _near_zh(found: Found) -> str:
    if not found.near:
        return ""
    named = "、".join(found.lacking) + ("……" if found.lacks > len(found.lacking) else "")
    lacks = f"{found.of} 个张量中有 {found.lacks} 个缺失或形状不同"
    return f"最接近的是 {found.near}：它的 {lacks}：{named}。"


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
                f"has tensors of these names and shapes: it is shown as it is.{_near(found)}",
                f"{name} 只含 {found.tensors} 个张量而没有结构，且模型库中没有名称和形状与之一致"
                f"的模型：按原样显示。{_near_zh(found)}",
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
