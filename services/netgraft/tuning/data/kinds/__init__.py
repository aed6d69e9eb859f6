"""The kinds of data, a file each: every module here that holds a `KIND`.

To add a kind, add a file whose `KIND` has what `kind.Kind` lists: nothing else names it.
"""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from netgraft.errors import InvalidValue
from netgraft.language import Message
from netgraft.settings import settings
from netgraft.tuning.data.kinds.kind import Kind, Place
from netgraft.tuning.data.manifest import Container, Manifest, Options


def every_kind() -> Iterator[Kind]:
    """All kinds, the most specific first; those alike by the names of their modules."""
    modules = sorted(found.name for found in pkgutil.iter_modules(__path__))
    loaded = [import_module(f"{__name__}.{name}") for name in modules]
    kinds: list[Kind] = [module.KIND for module in loaded if hasattr(module, "KIND")]
    yield from sorted(kinds, key=lambda kind: kind.rank)


def open_data(reference: str, options: Options | None = None) -> Manifest:
    """The data set that a reference means: a name, or a path below the data roots.

    Raises DataNotFound, OutsideDataRoots, InvalidData and InvalidValue. Pictures are not read.
    """
    options = options or Options()
    options.check()
    place = Place(reference.strip(), settings().roots)
    return _kind(place, options).open(place, options)


def container_of(kind: str, reference: str) -> Container:
    """The place of the pictures of a data set that was opened before.

    Raises DataNotFound, OutsideDataRoots, InvalidData and InvalidValue.
    """
    place = Place(reference, settings().roots)
    return _kind(place, Options(kind=kind)).container(place)


def _kind(place: Place, options: Options) -> Kind:
    kinds = list(every_kind())
    if not options.kind:
        return next(kind for kind in kinds if kind.accepts(place))
    for kind in kinds:
        if kind.name == options.kind:
            return kind
    expected = Message("one of {choices}", choices=[kind.name for kind in kinds])
    raise InvalidValue(name="kind", value=repr(options.kind), expected=expected)
