"""The zoo as messages: what ListModels answers from the index alone, without a store or torch."""

from collections.abc import Iterable

from netgraft.errors import InvalidValue
from netgraft.models.fetch import cached
from netgraft.models.fetch.cached import Present
from netgraft.models.zoo import hub
from netgraft.models.zoo.catalogue import Entry, Query, search
from netgraft.v1 import models_pb2

DEFAULT_LIMIT = 50


def list_zoo(
    request: models_pb2.ListModelsRequest, also: Iterable[Entry] = ()
) -> models_pb2.ListModelsReply:
    """Entries of the zoo, of the hub's cache and of `also` that match, best match first.

    Raises InvalidValue for a negative bound.
    """
    _check(request)
    found = search(_query(request), (*hub.entries(), *also))
    shown = found[: request.limit or DEFAULT_LIMIT]
    here = cached.present()
    return models_pb2.ListModelsReply(
        entries=[_message(entry, here) for entry in shown], total=len(found)
    )


def _check(request: models_pb2.ListModelsRequest) -> None:
    """Raises InvalidValue for a bound that nothing could keep."""
    for name in ("max_params", "min_accuracy", "limit", "max_flops", "image_size"):
        value = getattr(request, name)
        if not value >= 0:
            raise InvalidValue(name=name, value=value, expected="0 (no bound) or more")


def _query(request: models_pb2.ListModelsRequest) -> Query:
    return Query(
        words=request.query,
        task=request.task,
        max_params=request.max_params,
        min_accuracy=request.min_accuracy,
        max_flops=request.max_flops,
        image_size=request.image_size,
        licence=request.licence,
        on_disk=request.on_disk,
        source=request.source,
    )


def _message(entry: Entry, here: Present) -> models_pb2.ZooEntry:
    return models_pb2.ZooEntry(
        name=entry.name,
        source=entry.source,
        task=entry.task,
        params=entry.params,
        accuracy=entry.accuracy,
        image_size=entry.image_size,
        weights=entry.weights,
        flops=entry.flops,
        licence=entry.licence,
        on_disk=here.weights_of(entry),
        title=entry.title,
    )
