"""A store of its own for each test, and a library of tiny models beside the real ones."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torch import nn

from netgraft.anatomy.anatomy import Anatomies
from netgraft.models import source
from netgraft.models.recipe import Base, Recipe
from netgraft.models.zoo.entry import Entry
from netgraft.models.zoo.library import Library
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.surgery.symbolic import Foresight


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")
    yield store
    store.engine.dispose()


@pytest.fixture(scope="module")
def common_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for a file of tests, so that each model is examined once."""
    folder = tmp_path_factory.mktemp("common")
    store = Store(str(folder / "store"), f"sqlite:///{folder / 'db.sqlite'}")
    yield store
    store.engine.dispose()


@pytest.fixture
def anatomies(store: Store) -> Anatomies:
    return Foresight(store)


@pytest.fixture
def elsewhere() -> Iterator[Callable[[Store], Foresight]]:
    """What another process knows, that opens the same store."""
    opened: list[Store] = []

    def reopen(store: Store) -> Foresight:
        opened.append(Store(store.folder, str(store.engine.url)))
        return Foresight(opened[-1])

    yield reopen
    for store in opened:
        store.engine.dispose()


@pytest.fixture
def surgery(store: Store) -> SurgeryServicer:
    return SurgeryServicer(store)


class TinySource(Library):
    """Constructors as a library of models."""

    name = "tiny"

    def __init__(self) -> None:
        self.made: dict[str, tuple[Callable[[], nn.Module], str]] = {}

    def add(self, constructor: Callable[[], nn.Module], task: str = "classification") -> Recipe:
        """The recipe of a constructor's model, from now on a name of this library."""
        name = f"model{len(self.made)}"
        self.made[name] = constructor, task
        return Recipe(Base(self.name, name, None))

    def names(self) -> tuple[str, ...]:
        return tuple(self.made)

    def entry(self, name: str) -> Entry:
        return Entry(f"tiny/{name}", self.name, self.made[name][1], 0, 0.0, 16, ())

    def construct(self, base: Base) -> nn.Module:
        return self.made[base.name][0]()

    def input_shape(self, base: Base) -> tuple[int, ...]:
        return (3, 16, 16)


@pytest.fixture
def tiny() -> Iterator[Callable[..., Recipe]]:
    """Makes a constructor a model of a library "tiny"; gives its recipe."""
    library = TinySource()
    source.register(library)
    yield library.add
    source.unregister(library.name)
