"""The store: recipes in a database, tensors and other files in a folder.

It takes a recipe as an id, a parent and a canonical form, and knows nothing of what these mean:
`netgraft.models.recipes` turns rows into recipes.
"""

import atexit
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from threading import Lock
from typing import Any

from sqlalchemy import ColumnElement, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from netgraft import private
from netgraft.errors import UnknownModel
from netgraft.language import Message
from netgraft.settings import settings
from netgraft.store.database import connect, full_disk_is_reported
from netgraft.store.recent import Recent
from netgraft.store.sharing import lengthen, shorten
from netgraft.store.tables import RecipeRow, SharedRow, Table
from netgraft.store.tensors import TensorFolder

SHORTEST_PREFIX = 8
WHOLE_ID = 64
ROWS_KEPT = 4096
SHARED_KEPT = 16


class Store(TensorFolder):
    """One store of recipes, tensors and other files. Safe for use from several processes."""

    def __init__(self, folder: str, database: str) -> None:
        """Open a store. Raises DiskFull and NewerDatabase."""
        super().__init__(folder)
        self.engine = connect(database)
        # Rows never change, so those that were used last are kept.
        self._rows = Recent[RecipeRow](ROWS_KEPT)
        self._shared = Recent[str](SHARED_KEPT)
        self._recents: dict[Hashable, Recent[Any]] = {}
        self._lock = Lock()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A database session that commits at its end. Raises DiskFull."""
        with (
            full_disk_is_reported(self.engine),
            Session(self.engine) as session,
            session.begin(),
        ):
            yield session

    def recent(self, owner: Hashable, most: int) -> Recent[Any]:
        """The values that `owner` keeps in memory for this store."""
        with self._lock:
            if owner not in self._recents:
                self._recents[owner] = Recent(most)
            return self._recents[owner]

    # Recipes

    def put_row(
        self, recipe_id: str, parent_id: str | None, canonical: str, notices: Sequence[str] = ()
    ) -> None:
        """Store a recipe by its parts; a row that is there stays as it is.

        `notices` are lines for people, without line breaks.
        """
        stored = shorten(canonical)
        for digest, body in stored.shared.items():
            self._put_shared(digest, body)
        values = {
            "id": recipe_id,
            "parent_id": parent_id,
            "canonical": stored.text,
            "notices": "\n".join(notices),
            "created": time.time(),
            **stored.columns,
        }
        if self._insert(RecipeRow, values):
            self._rows.put(recipe_id, RecipeRow(**values))

    def has_row(self, recipe_id: str) -> bool:
        """True if a recipe is stored, by its whole id."""
        with suppress(UnknownModel):
            return bool(self._row(recipe_id))
        return False

    def get_row(self, model_id: str) -> RecipeRow:
        """The row of an id or of a unique prefix (at least 8 digits). Raises UnknownModel."""
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

    def newest_rows(self, where: ColumnElement[bool], most: int) -> list[RecipeRow]:
        """The rows that a condition over RecipeRow's columns holds for, the newest first."""
        query = select(RecipeRow).where(where).order_by(RecipeRow.created.desc())
        with Session(self.engine) as session:
            return list(session.scalars(query.limit(most)))

    def canonical(self, row: RecipeRow) -> str:
        """The canonical form that a row was stored with."""
        return lengthen(row.canonical, self._shared_value)

    def _put_shared(self, digest: str, body: str) -> None:
        try:
            self._shared_value(digest)
        except LookupError:
            self._insert(SharedRow, {"sha256": digest, "body": body})

    def _insert(self, table: type[Table], values: dict[str, Any]) -> bool:
        """Add a row that never changes; False where another process has added it meanwhile."""
        try:
            with self.session() as session:
                session.execute(insert(table), [values])
        except IntegrityError:
            return False
        return True

    def _shared_value(self, digest: str) -> str:
        """The JSON of a shared value. Raises LookupError."""

        def read() -> str:
            query = select(SharedRow.body).where(SharedRow.sha256 == digest)
            with self.engine.connect() as connection:
                body = connection.scalar(query)
            if body is None:
                raise LookupError(digest)
            return str(body)

        return self._shared.get(digest, read)

    def _row(self, recipe_id: str) -> RecipeRow:
        """The row of a whole id. Raises UnknownModel."""

        def read() -> RecipeRow:
            query = select(*RecipeRow.__table__.columns).where(RecipeRow.id == recipe_id)
            with self.engine.connect() as connection:
                row = connection.execute(query).one_or_none()
            if row is None:
                raise UnknownModel(name=recipe_id, hint="")
            return RecipeRow(**row._mapping)

        return self._rows.get(recipe_id, read)


def is_model_id(text: str) -> bool:
    """True if a text could be a model id or a prefix of one."""
    return SHORTEST_PREFIX <= len(text) <= 64 and all(c in "0123456789abcdefABCDEF" for c in text)


@lru_cache(maxsize=1)
def default_store() -> Store:
    """The store that the settings name; its folder is made when missing."""
    private.make_folder(settings().folder)
    store = Store(settings().store_url, settings().database_url)
    atexit.register(store.engine.dispose)  # SQLite then folds its log into the database
    return store
