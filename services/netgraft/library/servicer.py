"""Protobuf at the edge of the models slice: the Models service, in-process or served."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.timestamp_pb2 import Timestamp

from netgraft.errors import CannotPrefetch, InvalidValue, WeightsUnavailable
from netgraft.library.uploads import Announced, Opened, Uploads, checked_sha256, cleaned
from netgraft.models import resolve
from netgraft.models.fetch import cached
from netgraft.models.fetch.cached import Present
from netgraft.models.fetch.http import sparse
from netgraft.models.files import open as opening
from netgraft.models.recipe import Recipe
from netgraft.models.resolve import LANGUAGES
from netgraft.models.zoo import hub, local
from netgraft.models.zoo.catalogue import Entry, Query, entries, search
from netgraft.serving.servicers import caller, must_name
from netgraft.store.requests import Requests, asked
from netgraft.store.store import Store, default_store
from netgraft.v1 import models_pb2

CHUNK = 2**20
DEFAULT_LIMIT = 50

POLICIES: dict[int, resolve.Policy] = {
    models_pb2.WEIGHTS_POLICY_UNSPECIFIED: "pretrained",
    models_pb2.WEIGHTS_POLICY_NONE: "none",
    models_pb2.WEIGHTS_POLICY_PREFERRED: "preferred",
}


class ModelsServicer:
    """See `models.proto`."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or default_store()
        self.uploads = Uploads(self.store)
        self.requests = Requests(self.store)

    def ResolveModel(self, request: models_pb2.ResolveModelRequest) -> models_pb2.Model:
        must_name("weights", request.weights, models_pb2.WeightsPolicy)
        resolved = resolve.resolve(request.model, POLICIES[request.weights], self.store)
        return model_message(resolved.recipe, self.store)

    def GetModel(self, request: models_pb2.GetModelRequest) -> models_pb2.Model:
        return model_message(self.store.get_recipe(request.id), self.store)

    def ListModels(self, request: models_pb2.ListModelsRequest) -> models_pb2.ListModelsReply:
        _check(request)
        also = (*hub.entries(), *local.entries(self.store))
        found = search(_query(request), also)
        shown = found[: request.limit or DEFAULT_LIMIT]
        here = cached.present()
        return models_pb2.ListModelsReply(
            entries=[_entry_message(entry, here) for entry in shown], total=len(found)
        )

    def ExportModel(self, request: models_pb2.ExportModelRequest) -> Iterator[models_pb2.FileChunk]:
        from netgraft.models.export import export

        recipe = resolve.resolve(request.model, "pretrained", self.store).recipe
        with tempfile.TemporaryDirectory(prefix="netgraft-export-") as folder:
            file = Path(folder) / "model"
            export.write(recipe, self.store, request.format, file)
            name = export.file_name(recipe, request.format)
            yield models_pb2.FileChunk(name=name, size=file.stat().st_size)
            with file.open("rb") as stream:
                while data := stream.read(CHUNK):
                    yield models_pb2.FileChunk(data=data)

    def PrefetchWeights(
        self, request: models_pb2.PrefetchWeightsRequest
    ) -> Iterator[models_pb2.PrefetchProgress]:
        base, download = resolve.prefetch(request.model, self.store)
        try:
            for progress in sparse(download):
                yield models_pb2.PrefetchProgress(
                    base=base,
                    file=progress.file,
                    done_bytes=progress.done,
                    total_bytes=progress.total,
                    resumed_bytes=progress.resumed,
                )
        except WeightsUnavailable as error:
            raise CannotPrefetch(**error.values, present=_present()) from error

    def GetUpload(self, request: models_pb2.GetUploadRequest) -> models_pb2.Upload:
        file = Announced(checked_sha256(request.sha256), cleaned(request.name), request.size)
        if whole := opening.known(file.sha256, file.name, self.store):
            return self._upload(file.sha256, whole)
        received = self.uploads.received(file.sha256)
        return models_pb2.Upload(sha256=file.sha256, received_bytes=received)

    def UploadFile(self, requests: Iterable[models_pb2.UploadFileRequest]) -> models_pb2.Upload:
        stream = iter(requests)
        first = next(stream, models_pb2.UploadFileRequest())
        if first.WhichOneof("part") != "header":
            raise InvalidValue(name="part", value="data", expected="a header in the first message")
        header = first.header
        file = Announced(
            checked_sha256(header.sha256), cleaned(header.name), header.size, header.offset
        )
        self.requests.bind(asked("UploadFile", header, caller().token, "offset"))
        return self._upload(file.sha256, self.uploads.receive(file, (each.data for each in stream)))

    def _upload(self, sha256: str, whole: Opened) -> models_pb2.Upload:
        recipe, notices = whole
        self.store.put_recipe(recipe, notices)
        assert recipe.base.file is not None
        return models_pb2.Upload(
            sha256=sha256,
            received_bytes=self.store.size(opening.KIND, sha256),
            model=model_message(recipe, self.store),
        )


def _present() -> str:
    """The zoo's weights that are on disk, as a user may type them."""
    here = cached.present()
    every = (*entries(), *hub.entries())
    found = [f"{e.name}@{weights}" for e in every for weights in here.weights_of(e)]
    return ", ".join(found) or "–"


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


def model_message(recipe: Recipe, store: Store) -> models_pb2.Model:
    """A stored recipe as the message that every service replies with."""
    row = store.get_row(recipe.id)
    created = Timestamp()
    created.FromMilliseconds(int(row.created * 1000))
    base = Recipe(recipe.base)
    notices = (row if not recipe.edits else store.get_row(base.id)).notices
    return models_pb2.Model(
        id=recipe.id,
        parent_id=row.parent_id or "",
        base=str(recipe.base),
        title=recipe.title,
        recipe_json=recipe.canonical(),
        task=resolve.task(recipe.base),
        classes=recipe.classes or 0,
        class_names=recipe.class_names,
        loss=recipe.loss,
        notices=[_read(notice) for notice in notices.splitlines()],
        create_time=created,
        metrics=recipe.metrics,
    )


def _read(notice: str) -> str:
    """A notice in the language of the caller, where it was written in both."""
    english, _, chinese = notice.partition(LANGUAGES)
    return chinese if chinese and caller().language == "zh" else english


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
