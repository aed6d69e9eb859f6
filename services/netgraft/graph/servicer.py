"""The Graphs service: convert between protobuf and the graph package."""

import time

from netgraft.errors import NotFound, UnknownModule
from netgraft.graph.difference import Kind, ModuleDifference, compare
from netgraft.graph.drawings import Drawings, Summary
from netgraft.graph.table import Row
from netgraft.graph.viewer import comparison, pages
from netgraft.graph.viewer.view import View
from netgraft.language import Message, said
from netgraft.models.files.open import own_document
from netgraft.models.files.whole import only_drawn
from netgraft.models.nearest import nearest
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.models.resolve import resolve
from netgraft.serving.servicers import caller
from netgraft.store.store import Store, default_store
from netgraft.v1 import graph_pb2

KINDS = {
    Kind.ADDED: graph_pb2.ModuleDifference.KIND_ADDED,
    Kind.REMOVED: graph_pb2.ModuleDifference.KIND_REMOVED,
    Kind.CHANGED: graph_pb2.ModuleDifference.KIND_CHANGED,
    Kind.TRAINABLE: graph_pb2.ModuleDifference.KIND_TRAINABLE,
}


class GraphsServicer:
    """See `graph.proto`."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or default_store()
        self.drawings = Drawings(self.store)

    def DrawGraph(self, request: graph_pb2.DrawGraphRequest) -> graph_pb2.Graph:
        recipe = self._resolve(request.model)
        start = time.perf_counter()
        found = self.drawings.find(recipe)
        drawing = found or self.drawings.draw(recipe)
        summary = drawing.summary
        view = View(focus=request.focus, lens=request.lens, open=tuple(request.open))
        view.check()
        for path in filter(None, (view.focus, *view.open)):
            _check_path(path, summary)
        query = f"?{view.query()}" if view.query() else ""
        return graph_pb2.Graph(
            model_id=recipe.id,
            title=recipe.title,
            page=f"/viz/{recipe.id}/{query}",
            method=summary.method,
            top_level_nodes=summary.top_level_nodes,
            operators=summary.operators,
            parameters=summary.parameters,
            trainable_parameters=summary.trainable_parameters,
            document_bytes=len(drawing.document),
            seconds=0 if found else time.perf_counter() - start,
        )

    def GetViewerFile(self, request: graph_pb2.GetViewerFileRequest) -> graph_pb2.ViewerFile:
        if request.other_id:
            file = self._comparison(request.model_id, request.other_id, request.path)
        else:
            file = self._file(request.model_id, request.path, View.parse(request.query))
        return graph_pb2.ViewerFile(
            data=file.data, content_type=file.content_type, immutable=file.immutable
        )

    def _file(self, model_id: str, path: str, view: View) -> pages.File:
        if model_id == pages.STATIC:
            return pages.static_file(path)
        recipe = get_recipe(self.store, model_id)
        own = own_document(recipe.base)
        if path not in ("", own, *pages.FILES):
            raise NotFound(what=Message("the file {path!r}", path=path))
        if path == "":
            return pages.page(recipe.title, self.drawings.document_name(recipe))
        if path in pages.PICTURES:
            data = self.drawings.picture(recipe, path.rpartition(".")[2], view)
        elif path == pages.LENS:
            data = self.drawings.lens(recipe)
        elif path == pages.HIERARCHY:
            data = self.drawings.hierarchy(recipe)
        elif path != self.drawings.document_name(recipe):
            raise (
                NotFound(what=Message("the file {path!r}", path=path))
                if path == own
                else only_drawn(recipe.base)
            )
        else:
            data = self.drawings.draw(recipe).document
        return pages.model_file(path, data)

    def _comparison(self, a_id: str, b_id: str, path: str) -> pages.File:
        if path not in comparison.FILES:
            raise NotFound(what=Message("the file {path!r}", path=path))
        a, b = get_recipe(self.store, a_id), get_recipe(self.store, b_id)
        if path == comparison.DIFFERENCES:
            return comparison.differences(compare(a, b, self.store))
        return comparison.page(a, b)

    def CompareGraphs(self, request: graph_pb2.CompareGraphsRequest) -> graph_pb2.GraphDiff:
        a, b = self._resolve(request.a), self._resolve(request.b)
        found, language = compare(a, b, self.store), caller().language
        return graph_pb2.GraphDiff(
            a_id=a.id,
            b_id=b.id,
            differences=[_message(item, language) for item in found.modules],
            a_parameters=found.a_parameters,
            b_parameters=found.b_parameters,
            page=comparison.address(a, b),
        )

    def ListModules(self, request: graph_pb2.ListModulesRequest) -> graph_pb2.ModuleTable:
        recipe = self._resolve(request.model)
        batch = View(batch=request.batch or 1)
        batch.check()
        found = self.drawings.table(recipe, batch.batch)
        return graph_pb2.ModuleTable(
            model_id=recipe.id,
            title=recipe.title,
            batch=batch.batch,
            rows=[_row(row) for row in found if not request.depth or row.depth <= request.depth],
        )

    def _resolve(self, reference: str) -> Recipe:
        return resolve(reference, "pretrained", self.store).recipe


def _message(item: ModuleDifference, language: str) -> graph_pb2.ModuleDifference:
    return graph_pb2.ModuleDifference(
        path=item.path,
        kind=KINDS[item.kind],
        before=str(said(item.before, language)),
        after=str(said(item.after, language)),
        parameters_before=item.parameters_before,
        parameters_after=item.parameters_after,
        weights=[
            graph_pb2.WeightDifference(name=weight.name, before=weight.before, after=weight.after)
            for weight in item.weights
        ],
        path_before=item.path_before,
    )


def _row(row: Row) -> graph_pb2.ModuleRow:
    return graph_pb2.ModuleRow(
        path=row.path,
        type=row.type,
        depth=row.depth,
        output_shapes=["×".join(map(str, shape)) for shape in row.shapes],
        parameters=row.parameters,
        trainable_parameters=row.trainable,
        flops=row.flops,
        activation_bytes=row.activation_bytes,
        calls=row.calls,
    )


def _check_path(path: str, summary: Summary) -> None:
    """Raise UnknownModule if the drawing has no module of that path."""
    if path not in summary.modules:
        raise UnknownModule(path=path, nearest=", ".join(nearest(path, summary.modules)))
