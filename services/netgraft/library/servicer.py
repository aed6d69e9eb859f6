"""The Models service: convert between protobuf and the library package.

What needs the store or torch is imported when it is called: searching the zoo works with the base
package alone.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from netgraft.errors import InvalidValue
from netgraft.language import Message
from netgraft.library.listing import listing
from netgraft.models.fetch.cached import Present
from netgraft.models.source import Policy, Resolved
from netgraft.models.zoo.catalogue import Query
from netgraft.models.zoo.entry import Entry
from netgraft.serving.messages import model_message
from netgraft.serving.servicers import caller, must_name
from netgraft.v1 import models_pb2

if TYPE_CHECKING:
    from netgraft.library.uploads import Uploads
    from netgraft.store.requests import Requests
    from netgraft.store.store import Store

POLICIES: dict[int, Policy] = {
    models_pb2.WEIGHTS_POLICY_UNSPECIFIED: "pretrained",
    models_pb2.WEIGHTS_POLICY_NONE: "none",
    models_pb2.WEIGHTS_POLICY_PREFERRED: "preferred",
}


class ModelsServicer:
    """See `models.proto`."""

    def __init__(self, store: "Store | None" = None) -> None:
        self._store = store

    @cached_property
    def store(self) -> "Store":
        from netgraft.store.store import default_store

        return self._store or default_store()

    @cached_property
    def uploads(self) -> "Uploads":
        from netgraft.library.uploads import Uploads

        return Uploads(self.store)

    @cached_property
    def requests(self) -> "Requests":
        from netgraft.store.requests import Requests

        return Requests(self.store)

    def ResolveModel(self, request: models_pb2.ResolveModelRequest) -> models_pb2.Model:
        must_name("weights", request.weights, models_pb2.WeightsPolicy)
        resolved = self._resolved(request.model, POLICIES[request.weights])
        return model_message(resolved.recipe, self.store)

    def GetModel(self, request: models_pb2.GetModelRequest) -> models_pb2.Model:
        from netgraft.models.recipes import get_recipe

        return model_message(get_recipe(self.store, request.id), self.store)

    def ListModels(self, request: models_pb2.ListModelsRequest) -> models_pb2.ListModelsReply:
        _check(request)
        found = listing(_query(request), request.limit, lambda: self.store)
        return models_pb2.ListModelsReply(
            entries=[_entry_message(entry, found.here) for entry in found.entries],
            total=found.total,
        )

    def ExportModel(self, request: models_pb2.ExportModelRequest) -> Iterator[models_pb2.FileChunk]:
        from netgraft.library.exports import exported

        recipe = self._resolved(request.model, "pretrained").recipe
        whole = request.with_preprocessing
        with exported(recipe, request.format, self.store, with_preprocessing=whole) as file:
            yield models_pb2.FileChunk(name=file.name, size=file.size)
            for data in file.chunks():
                yield models_pb2.FileChunk(data=data)

    def PrefetchWeights(
        self, request: models_pb2.PrefetchWeightsRequest
    ) -> Iterator[models_pb2.PrefetchProgress]:
        from netgraft.library.prefetching import prefetched

        base, download = prefetched(request.model, self.store)
        for progress in download:
            yield models_pb2.PrefetchProgress(
                base=base,
                file=progress.file,
                done_bytes=progress.done,
                total_bytes=progress.total,
                resumed_bytes=progress.resumed,
            )

    def GetUpload(self, request: models_pb2.GetUploadRequest) -> models_pb2.Upload:
        from netgraft.library.uploads import announced

        file = announced(request.sha256, request.name, request.size)
        if whole := self.uploads.known(file):
            return self._upload(file.sha256, whole)
        received = self.uploads.received(file.sha256)
        return models_pb2.Upload(sha256=file.sha256, received_bytes=received)

    def UploadFile(self, requests: Iterable[models_pb2.UploadFileRequest]) -> models_pb2.Upload:
        from netgraft.library.uploads import announced
        from netgraft.store.requests import asked

        stream = iter(requests)
        first = next(stream, models_pb2.UploadFileRequest())
        if first.WhichOneof("part") != "header":
            expected = Message("a header in the first message")
            raise InvalidValue(name="part", value="data", expected=expected)
        header = first.header
        file = announced(header.sha256, header.name, header.size, header.offset)
        self.requests.bind(asked("UploadFile", header, caller().token, "offset"))
        return self._upload(file.sha256, self.uploads.receive(file, (each.data for each in stream)))

    def _upload(self, sha256: str, whole: Resolved) -> models_pb2.Upload:
        from netgraft.models.recipes import put_recipe

        put_recipe(self.store, whole.recipe, whole.notices)
        return models_pb2.Upload(
            sha256=sha256,
            received_bytes=self.uploads.size(sha256),
            model=model_message(whole.recipe, self.store),
        )

    def _resolved(self, reference: str, policy: Policy) -> Resolved:
        from netgraft.models.resolve import resolve

        return resolve(reference, policy, self.store)


def _check(request: models_pb2.ListModelsRequest) -> None:
    """Raise InvalidValue for a bound that is negative or not a number."""
    for name in ("max_params", "min_accuracy", "limit", "max_flops", "image_size"):
        value = getattr(request, name)
        if not value >= 0:
            expected = Message("0 (no bound) or more")
            raise InvalidValue(name=name, value=value, expected=expected)


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


def _entry_message(entry: Entry, here: Present) -> models_pb2.ZooEntry:
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
