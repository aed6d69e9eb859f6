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
from netgraft.language import Message, plural
from netgraft.models.files.inspect import Found, look
from netgraft.models.notices import stored
from netgraft.models.recipe import Base, HeadEdit, Recipe, UserFile
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
    """The recipe of a model's file, and notices as `notices.stored` writes them.

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


def _base(found: Found, digest: str, name: str) -> Base:
    file = UserFile(
        digest, found.kind, name, found.task, found.input_shape, found.heads, found.config
    )
    return Base(found.source, found.name or name, found.weights, file=file)


def _notices(found: Found, base: Base, name: str) -> Iterator[str]:
    if notice := _notice(found, base, name):
        yield stored(notice)


def _notice(found: Found, base: Base, name: str) -> Message | None:
    if found.source != "file":
        return _with(
            Message(
                "{name} holds {count} tensors and no structure; their names and shapes are those "
                "of {model}, so it is drawn and built as that.",
                name=name,
                count=found.tensors,
                model=_matching(found, base),
            ),
            Message("They also fit {models}.", models=found.also) if found.also else None,
        )
    if found.kind in ("state_dict", "safetensors"):
        return _with(
            Message(
                "{name} holds {count} tensors and no structure, and no model of the zoo has "
                "tensors of these names and shapes: it is shown as it is.",
                name=name,
                count=found.tensors,
            ),
            _nearest(found) if found.near else None,
        )
    if found.kind == "keras" and found.input_shape:
        return Message(
            "{name} is built of Keras's layers. A softmax or sigmoid at its end is left out: it "
            "answers with logits, as all models here do.",
            name=name,
        )
    if document_format(base):
        return Message(
            "{name} ({format}) is shown as it is; it cannot be edited or trained.",
            name=name,
            format=format_of(found.kind).label,
        )
    return None


def _with(first: Message, second: Message | None) -> Message:
    """One or two sentences."""
    return Message("{first} {second}", first=first, second=second) if second else first


def _matching(found: Found, base: Base) -> Message | str:
    """The model of the zoo that a file's tensors fit, with its classes where it has a head."""
    zoo = base.name if base.source == "torchvision" else f"timm/{base.name}"
    if found.heads and (classes := found.heads[0].after):
        return Message(
            plural("{model} with {count} class", "{model} with {count} classes"),
            model=zoo,
            count=classes,
        )
    return zoo


def _nearest(found: Found) -> Message:
    """The model of the zoo that comes nearest to a file, and which of its tensors that lacks."""
    some = found.lacks > len(found.lacking)
    return Message(
        "Nearest is {near}; of its {of} tensors {count} are missing or of another shape: {names}.",
        near=found.near,
        of=found.of,
        count=found.lacks,
        names=Message("{names}, …", names=found.lacking) if some else found.lacking,
    )
