"""The kinds of data sets, a file each: every module here that holds a `KIND`.

To add a kind, add a file whose `KIND` is a class with the methods of `dataset.DataSet` and the
class methods of `dataset.Kind`: nothing else names it.
"""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from netgraft.settings import settings
from netgraft.tuning.data.dataset import DataSet, Kind


def every_kind() -> Iterator[Kind]:
    """All kinds, by the names of their modules; those that accept any reference come last."""
    modules = sorted(found.name for found in pkgutil.iter_modules(__path__))
    kinds: list[Kind] = [import_module(f"{__name__}.{name}").KIND for name in modules]
    yield from sorted(kinds, key=lambda kind: kind.takes_any)


def open_data(reference: str) -> DataSet:
    """The data set that a reference means: a name, or a path below the data roots.

    Raises DataNotFound, OutsideDataRoots and InvalidData. Pictures are not read yet:
    `DataSet.check` does that.
    """
    kind = next(kind for kind in every_kind() if kind.accepts(reference.strip()))
    return kind.open(reference.strip(), settings().roots)
