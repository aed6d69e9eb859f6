"""A store of its own for each test, and a library of tiny models beside the real ones."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from netgraft.anatomy.anatomy import Anatomies
from netgraft.models.recipe import Base, Recipe
from netgraft.models.sources import source
from netgraft.models.zoo.catalogue import Entry, by_name
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.surgery.symbolic import Foresight

MODULE = "netgraft_tiny_models_for_tests"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")
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


class TinySource:
    """A source of models, as `netgraft.models.sources.source.Source` asks for."""

    made: dict[str, Callable[[], nn.Module]]

    def construct(self, base: Base) -> nn.Module:
        return self.made[base.name]()

    def input_shape(self, base: Base) -> tuple[int, ...]:
        return (3, 16, 16)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recipe]:
    """Registers a constructor as a model of a library "tiny"; gives its recipe."""
    made: dict[str, Callable[[], nn.Module]] = {}
    module = ModuleType(MODULE)
    monkeypatch.setattr(
        module, "TinySource", type("TinySource", (TinySource,), {"made": made}), raising=False
    )
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setitem(source.SOURCES, "tiny", f"{MODULE}:TinySource")
    source.source.cache_clear()

    def register(constructor: Callable[[], nn.Module], task: str = "classification") -> Recipe:
        name = f"model{len(made)}"
        made[name] = constructor
        entry = Entry(f"tiny/{name}", "tiny", task, 0, 0.0, 16, ())
        monkeypatch.setitem(by_name(), entry.name, entry)
        return Recipe(Base("tiny", name, None))

    yield register
    source.source.cache_clear()
