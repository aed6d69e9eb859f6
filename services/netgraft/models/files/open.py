"""Files as users have them: a path becomes a recipe that names content, never the path.

The path must lie inside the data roots. The file is copied once, within a limit, hashed,
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
from netgraft.models import bases, notices
from netgraft.models.files.inspect import Found, inspect
from netgraft.models.files.kept import KIND, content, file_of
from netgraft.models.recipe import Base, HeadEdit, Recipe, UserFile
from netgraft.models.source import Resolved
from netgraft.models.sources.keras import archive as keras_archive
from netgraft.models.untrusted import safe_open
from netgraft.models.untrusted.formats import Format, display_name
from netgraft.models.untrusted.roots import inside
from netgraft.settings import settings
from netgraft.store.store import Store

FOUND = "opened"
"""Where the store keeps what was found in them."""
VERSION = 3
"""Raised when more is found: files are then looked into again."""


def located(reference: str) -> tuple[Path, str]:
    """The path that a reference means, inside the data roots, and its name for people.

    Raises NoSuchFile and OutsideDataRoots.
    """
    path = inside(reference, settings().roots, NoSuchFile)
    return path, display_name(path.name)


def open_file(path: Path, name: str, store: Store) -> Resolved:
    """The recipe of a located file. Raises UnsupportedFile, UnsafeFile and TooLarge."""
    with _copied(path, name) as copy:
        return open_copy(copy, name, store)


def open_copy(copy: Path, name: str, store: Store) -> Resolved:
    """As `open_file`, of a file that nobody else changes; `name` is as `display_name` has it."""
    digest = _digest(copy)
    found = _remembered(store, digest, name) or _kept(copy, digest, name, store)
    return _opened_as(found, digest, name)


def known(digest: str, name: str, store: Store) -> Resolved | None:
    """The recipe of content that the store has, under that name; None where it has not."""
    found = _remembered(store, digest, name)
    return _opened_as(found, digest, name) if found else None


def _opened_as(found: Found, digest: str, name: str) -> Resolved:
    base = _base(found, digest, name)
    return Resolved(Recipe(base), tuple(map(notices.stored, _notices(found, base, name))))


def facts(base: Base, store: Store) -> Found:
    """The facts known of a base's file. Raises FileNotFoundError when the store lost it."""
    file = file_of(base)
    if found := _remembered(store, file.sha256, file.name):
        return found
    with tempfile.NamedTemporaryFile() as copy:
        copy.write(content(base, store))
        copy.flush()
        return _kept(Path(copy.name), file.sha256, file.name, store)


def document_format(base: Base) -> Format | None:
    """The format in which Netron is shown a base's file; None when the base is drawn by us."""
    found = bases.document(base)
    return found if found and not file_of(base).input_shape else None


def own_document(base: Base) -> str:
    """The name under which Netron gets a base's file, whatever its user called it; "" without."""
    found = bases.document(base)
    return f"file{found.suffix}" if found else ""


# Reading


@contextmanager
def _copied(path: Path, name: str) -> Iterator[Path]:
    """A copy that cannot change while it is looked at. Raises UnsupportedFile and TooLarge."""
    roots = settings().roots
    with tempfile.NamedTemporaryFile() as out, safe_open.opened(path, name, roots) as source:
        with safe_open.full_disk_is_reported():
            size, _ = safe_open.copy(source, out, name, safe_open.of_files())
        if size == 0:
            raise UnsupportedFile(path=name, problem=Message("it is empty."))
        yield Path(out.name)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kept(copy: Path, digest: str, name: str, store: Store) -> Found:
    """Look into a file, and store it before what was found: whoever reads that has both."""
    found = inspect(copy, name)
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


# What users should know


def _base(found: Found, digest: str, name: str) -> Base:
    file = UserFile(
        digest, found.kind, name, found.task, found.input_shape, found.heads, found.config
    )
    return Base(found.source, found.name or name, found.weights, file=file)


def _notices(found: Found, base: Base, name: str) -> Iterator[Message]:
    if not bases.document(base):  # its structure is a library's
        notice = Message(
            "{name} holds {count} tensors and no structure; their names and shapes are those of "
            "{model}, so it is drawn and built as that.",
            name=name,
            count=found.tensors,
            model=_structure(found, base),
        )
        also = Message("They also fit {models}.", models=found.also)
        yield _both(notice, also) if found.also else notice
    elif found.kind in ("state_dict", "safetensors"):
        notice = Message(
            "{name} holds {count} tensors and no structure, and no model of the zoo has tensors "
            "of these names and shapes: it is shown as it is.",
            name=name,
            count=found.tensors,
        )
        yield _both(notice, _nearest(found)) if found.near else notice
    elif format_ := document_format(base):
        yield Message(
            "{name} ({format}) is shown as it is; it cannot be edited or trained.",
            name=name,
            format=format_.label,
        )
    elif found.kind == "keras":
        yield Message(
            "{name} is built of Keras's layers. A softmax or sigmoid at its end is left out: it "
            "answers with logits, as all models here do.",
            name=name,
        )


def _both(first: Message, second: Message) -> Message:
    return Message("{first} {second}", first=first, second=second)


def _structure(found: Found, base: Base) -> str:
    """The model of the zoo that a file's tensors fit, with its classes where it has a head."""
    if not found.heads:
        return base.shown
    return Message(
        plural("{model} with {count} class", "{model} with {count} classes"),
        model=base.shown,
        count=found.heads[0].after,
    )


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
