"""The store: recipes in a database, tensors and cached files in a folder.

The folder may be any fsspec URL. Files in it are named by content or by model
id and written once, whole, under another name first, so a reader never meets
half a file. Torch is imported only where tensors are read or written.
"""

import atexit
import errno
import hashlib
import math
import os
import tempfile
import time
import uuid
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem
from sqlalchemy import Engine, create_engine, event, insert, make_url, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from netgraft import private
from netgraft.errors import DiskFull, UnknownModel
from netgraft.language import Message
from netgraft.models.recipe import Recipe
from netgraft.settings import settings
from netgraft.store.sharing import lengthen, shorten
from netgraft.store.tables import RecipeRow, SharedRow, Table

if TYPE_CHECKING:
    from torch import Tensor

SHORTEST_PREFIX = 8
WHOLE_ID = 64
ROWS_KEPT = 4096
SHARED_KEPT = 16

PARTIAL = ".part"
"""How the name of a file in the making ends."""

FULL = os.strerror(errno.ENOSPC)


class Store:
    """One store of recipes, tensors and cached files. Safe for use from several processes."""

    def __init__(self, folder: str, database: str) -> None:
        self.folder = folder
        self.files, self.root = fsspec.core.url_to_fs(folder)
        self._local = isinstance(self.files, LocalFileSystem)
        self.engine = _engine(database)
        # Rows never change, so the last that were read are kept.
        self._row = lru_cache(ROWS_KEPT)(self._read_row)
        self._shared = lru_cache(SHARED_KEPT)(self._read_shared)
        Table.metadata.create_all(self.engine)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A database session that commits at its end. Raises DiskFull."""
        try:
            with Session(self.engine) as session, session.begin():
                yield session
        except OperationalError as error:
            if "disk is full" in str(error) or FULL in str(error):  # SQLite, PostgreSQL
                raise DiskFull(folder=self.engine.url.database) from error
            raise

    # Recipes

    def put_recipe(self, recipe: Recipe, notices: tuple[str, ...] = ()) -> str:
        """Store a recipe and its ancestors; returns its id. Storing it again changes nothing."""
        with suppress(UnknownModel):
            return self._row(recipe.id).id
        parent_id = self.put_recipe(recipe.parent) if recipe.edits else None
        stored, shared = shorten(recipe.canonical())
        for digest, body in shared.items():
            self._put_shared(digest, body)
        self._insert(
            RecipeRow,
            id=recipe.id,
            parent_id=parent_id,
            canonical=stored,
            notices="\n".join(notices),
            created=time.time(),
        )
        return recipe.id

    def _put_shared(self, digest: str, body: str) -> None:
        try:
            self._shared(digest)
        except LookupError:
            self._insert(SharedRow, sha256=digest, body=body)

    def _insert(self, table: type[Table], **values: object) -> None:
        """Add a row that never changes, where no other process has added it in the meantime."""
        with suppress(IntegrityError), self.session() as session:
            session.execute(insert(table), [values])

    def _read_shared(self, digest: str) -> str:
        """The JSON of a shared value. Raises LookupError."""
        query = select(SharedRow.body).where(SharedRow.sha256 == digest)
        with self.engine.connect() as connection:
            body = connection.scalar(query)
        if body is None:
            raise LookupError(digest)
        return str(body)

    def _read_row(self, recipe_id: str) -> RecipeRow:
        query = select(*RecipeRow.__table__.columns).where(RecipeRow.id == recipe_id)
        with self.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise UnknownModel(name=recipe_id, hint="")
        return RecipeRow(**row._mapping)

    def get_recipe(self, model_id: str) -> Recipe:
        """The recipe of an id or of a unique prefix (at least 8 digits). Raises UnknownModel."""
        return self.recipe_of(self.get_row(model_id))

    def recipe_of(self, row: RecipeRow) -> Recipe:
        """The recipe that a row holds."""
        return Recipe.from_json(lengthen(row.canonical, self._shared))

    def get_row(self, model_id: str) -> RecipeRow:
        """The stored row of an id or prefix. Raises UnknownModel."""
        if len(model_id) < SHORTEST_PREFIX or not is_model_id(model_id):
            raise UnknownModel(name=model_id, hint="")
        if len(model_id) == WHOLE_ID:
            return self._row(model_id.lower())
        query = select(RecipeRow).where(RecipeRow.id.startswith(model_id.lower())).limit(2)
        with Session(self.engine) as session:
            rows = list(session.scalars(query))
        if len(rows) != 1:
            hint = Message("Several models begin so; give more digits.") if rows else ""
            raise UnknownModel(name=model_id, hint=hint)
        return rows[0]

    def own_rows(self, most: int = 1_000) -> list[RecipeRow]:
        """Rows of bases with a file and of models that were tuned, the newest first."""
        files = RecipeRow.parent_id.is_(None) & RecipeRow.canonical.contains('"file":{')
        tuned = RecipeRow.canonical.contains('"op":"tuned"')
        query = select(RecipeRow).where(files | tuned).order_by(RecipeRow.created.desc())
        with Session(self.engine) as session:
            return list(session.scalars(query.limit(most)))

    # Tensors

    def put_tensors(self, tensors: Mapping[str, "Tensor"]) -> str:
        """Store named tensors as one safetensors file; returns its SHA-256. Raises DiskFull."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        values = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        # By way of a file, and not of bytes: these would cost as much memory as the tensors.
        with self._room(self._path("tensors", "")), self._workshop() as folder:
            file = Path(folder) / "tensors"
            try:
                save_file(values, file)
            except SafetensorError as error:
                if FULL in str(error):
                    raise DiskFull(folder=self.folder) from error
                raise
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            self._move_in("tensors", f"{digest}.safetensors", file)
        return digest

    def _workshop(self) -> tempfile.TemporaryDirectory[str]:
        """A local folder for files in the making; on the store's own disk where it has one."""
        return tempfile.TemporaryDirectory(dir=self.root if self._local else None)

    def get_tensors(self, digest: str) -> dict[str, "Tensor"]:
        """The tensors of a delta, on the CPU. Raises FileNotFoundError."""
        from safetensors.torch import load

        return load(self.read("tensors", f"{digest}.safetensors"))

    def get_some_tensors(self, digest: str, names: Container[str]) -> dict[str, "Tensor"]:
        """Those tensors of a delta that are named in `names`; only they are read.

        Raises FileNotFoundError.
        """
        from safetensors.torch import load

        from netgraft.store.excerpt import excerpt

        with self.open("tensors", f"{digest}.safetensors") as stream:
            return load(excerpt(stream, names))

    def tensor_shapes(self, digest: str) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor of a delta; its header alone is read.

        Raises FileNotFoundError.
        """
        from netgraft.store.excerpt import shapes

        with self.open("tensors", f"{digest}.safetensors") as stream:
            return shapes(stream)

    def tensors_size(self, digest: str) -> int:
        """Bytes that a delta takes in the store."""
        return self.size("tensors", f"{digest}.safetensors")

    # Files

    def put_file(self, kind: str, name: str, data: bytes) -> None:
        """Write a file once under `kind`. A file of that name already there is kept."""
        path = self._path(kind, name)
        if self.files.exists(path):
            return
        with self._arriving(path) as partial:
            self.files.pipe_file(partial, data)

    @contextmanager
    def _arriving(self, path: str) -> Iterator[str]:
        """Where a file is written that is then moved to its path; what broke off is removed."""
        partial = f"{path}.{uuid.uuid4().hex}{PARTIAL}"
        with self._room(path):
            try:
                if self._local:
                    private.make_file(Path(partial))
                yield partial
                self.files.mv(partial, path)
            except BaseException:
                with suppress(OSError):
                    self.files.rm_file(partial)
                raise

    @contextmanager
    def _room(self, path: str) -> Iterator[None]:
        """The folder of a path is there, and a full disk is told as such."""
        try:
            self._make_folder(path.rsplit("/", 1)[0])
            yield
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFull(folder=self.folder) from error
            raise

    def _make_folder(self, path: str) -> None:
        if self._local:
            private.make_folder(Path(path))
        else:
            self.files.makedirs(path, exist_ok=True)

    def trim(self, kind: str, most_bytes: int, *, most_seconds: float = math.inf) -> None:
        """Remove files under `kind` that are older, and the oldest until the rest fits."""
        sizes = self.files.find(f"{self.root}/{kind}", detail=True)
        excess = sum(item["size"] for item in sizes.values()) - most_bytes
        if excess <= 0 and most_seconds == math.inf:
            return
        ages = {path: self._age(path) for path in sizes}
        for path in sorted(sizes, key=lambda path: -ages[path]):
            if excess <= 0 and ages[path] <= most_seconds:
                return
            with suppress(FileNotFoundError):  # another process trims too
                self.files.rm_file(path)
            excess -= sizes[path]["size"]

    def _age(self, path: str) -> float:
        """Seconds since a file was written; a file that is gone is as old as can be."""
        try:
            written = self.files.modified(path)
        except FileNotFoundError:
            return math.inf
        age: float = (datetime.now(UTC) - written.astimezone(UTC)).total_seconds()
        return age

    def put_path(self, kind: str, name: str, source: Path) -> None:
        """As `put_file`, with the bytes of a local file."""
        path = self._path(kind, name)
        if self.files.exists(path):
            return
        with self._arriving(path) as partial:
            self.files.put_file(str(source), partial)

    def _move_in(self, kind: str, name: str, source: Path) -> None:
        """As `put_path`; the local file is gone then."""
        path = self._path(kind, name)
        if not self._local:
            self.put_path(kind, name, source)
        elif not self.files.exists(path):
            self.files.mv(str(private.close(source)), path)

    def open(self, kind: str, name: str) -> BinaryIO:
        """A file of the store, to read from. Raises FileNotFoundError."""
        return cast("BinaryIO", self.files.open(self._path(kind, name), "rb"))

    def get_file(self, kind: str, name: str) -> bytes | None:
        """The bytes of a file, or None."""
        try:
            return self.read(kind, name)
        except FileNotFoundError:
            return None

    def read(self, kind: str, name: str) -> bytes:
        """The bytes of a file. Raises FileNotFoundError."""
        data: bytes = self.files.cat_file(self._path(kind, name))
        return data

    def size(self, kind: str, name: str) -> int:
        """Bytes of a file. Raises FileNotFoundError."""
        return int(self.files.size(self._path(kind, name)))

    def names(self, kind: str) -> list[str]:
        """Names of the whole files under `kind`, sorted."""
        self.files.invalidate_cache()
        folder = self._path(kind, "")
        found = self.files.find(folder, maxdepth=1)
        return sorted(
            name for path in found if not (name := path.rpartition("/")[2]).endswith(PARTIAL)
        )

    def remove(self, kind: str) -> None:
        """Remove what lies under `kind`, which must be a folder of files that may go."""
        with suppress(FileNotFoundError):
            self.files.rm(self._path(kind, "").rstrip("/"), recursive=True)

    def _path(self, kind: str, name: str) -> str:
        return f"{self.root}/{kind}/{name}"


def is_model_id(text: str) -> bool:
    """Whether a text could be a model id or a prefix of one."""
    return SHORTEST_PREFIX <= len(text) <= 64 and all(c in "0123456789abcdefABCDEF" for c in text)


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    _close_database(url)
    engine = create_engine(url, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _pragmas(connection, _record) -> None:  # type: ignore[no-untyped-def]
        # WAL: a watcher reads while a worker writes, and neither waits for the other.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    return engine


def _close_database(url: str) -> None:
    """Make SQLite's file for its owner alone; those beside it get the mode that it has."""
    name = make_url(url).database
    if not name or name == ":memory:" or not Path(name).parent.is_dir():
        return
    private.make_file(Path(name))
    for beside in (Path(f"{name}-wal"), Path(f"{name}-shm")):
        if beside.exists():
            private.close(beside)


@lru_cache(maxsize=1)
def default_store() -> Store:
    """The store that the settings name; its folder is made when missing."""
    private.make_folder(settings().folder)
    store = Store(settings().store_url, settings().database_url)
    atexit.register(store.engine.dispose)  # SQLite then folds its log into the database
    return store
