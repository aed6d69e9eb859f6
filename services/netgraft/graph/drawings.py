"""Draw a recipe once and keep it for ever: in memory, and in the store by the model's id.

A stored drawing is named by the model and by the code that drew it, so a better
netgraft draws again.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netgraft.errors import CannotDraw
from netgraft.graph import table
from netgraft.graph.lens import Parameter
from netgraft.graph.nesting import Graph
from netgraft.graph.table import Row
from netgraft.graph.viewer.pages import DOCUMENT
from netgraft.graph.viewer.view import View
from netgraft.models.files.kept import content
from netgraft.models.files.open import document_format, facts, own_document
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store

if TYPE_CHECKING:
    from torch import nn

KIND = "graphs"
"""Where the store keeps drawings."""
VIEWS = "pictures"
"""Where it keeps pictures and tables: each view of a drawing is one, and views are endless."""
MOST_VIEW_BYTES = 2**30
"""The oldest go first. What has gone is drawn again, the same."""
IN_MEMORY = 64
AS_IT_IS = "file"
"""The method of a drawing that is the user's own file."""
CAPTURED = 8


@dataclass(frozen=True)
class Summary:
    """What is said of a drawing without opening it."""

    method: str
    """ "export" or "modules"; see `capture`. "file": the user's own file, as it is."""
    top_level_nodes: int
    operators: int
    parameters: int
    trainable_parameters: int
    modules: tuple[str, ...]
    """Paths of all modules of the model."""


@dataclass(frozen=True)
class Drawing:
    summary: Summary
    document: bytes
    """For Netron; see `document`."""


@dataclass(frozen=True)
class Captured:
    """A graph, and what it was taken from."""

    graph: Graph
    module: "nn.Module"
    """Without weights."""
    parameters: Mapping[str, Parameter]


@dataclass(frozen=True)
class RecipeSubject:
    """A recipe as `capture` wants it: without its weights' values."""

    recipe: Recipe
    store: Store

    @property
    def name(self) -> str:
        return self.recipe.title

    def module(self, device: str) -> "nn.Module":
        from netgraft.models.build import build

        return build(self.recipe, self.store, device=device, with_weights=False).eval()

    def inputs(self, device: str, batch: int) -> tuple[Any, ...]:
        from netgraft.models.bases import example_inputs

        return example_inputs(self.recipe.base, batch, device)


class Drawings:
    """All drawings of a store. Safe for use from several threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._memory: OrderedDict[str, Drawing] = OrderedDict()
        self._captured: OrderedDict[str, Captured] = OrderedDict()
        self._lock = threading.Lock()
        self._drawing = threading.Lock()
        self._capturing = threading.Lock()

    def find(self, recipe: Recipe) -> Drawing | None:
        """The drawing of a recipe when there is one."""
        with self._lock:
            if recipe.id in self._memory:
                self._memory.move_to_end(recipe.id)
                return self._memory[recipe.id]
        found = self._load(recipe.id)
        return self._keep(recipe.id, found) if found else None

    def draw(self, recipe: Recipe) -> Drawing:
        """The drawing of a recipe; made now when there is none. Raises CannotDraw."""
        if found := self.find(recipe):
            return found
        with self._drawing:  # who waited here may find what they waited for
            return self.find(recipe) or self._keep(recipe.id, self._draw(recipe))

    def hierarchy(self, recipe: Recipe) -> bytes:
        """The graph of a recipe as JSON, kept like the drawing. Raises CannotDraw."""
        from netgraft.graph import hierarchy

        def make() -> bytes:
            return hierarchy.write(self.captured(recipe).graph, recipe.title)

        return self._file(f"{_name(recipe.id)}.graph.json", make)

    def lens(self, recipe: Recipe) -> bytes:
        """The numbers of every box, as JSON, kept like the drawing. Raises CannotDraw.

        Of a trained recipe the weights from before and after are read.
        """
        from netgraft.graph import lens
        from netgraft.graph.change import changes

        def make() -> bytes:
            captured = self.captured(recipe)
            return lens.write(captured.graph, captured.parameters, changes(recipe, self.store))

        return self._file(f"{_name(recipe.id)}.lens.json", make)

    def picture(self, recipe: Recipe, kind: str, view: View) -> bytes:
        """The drawing as "svg", "png" or "html", kept like it. Raises CannotDraw."""
        from netgraft.graph.viewer.onefile import write
        from netgraft.graph.viewer.render import render

        def make() -> bytes:
            document = self.draw(recipe).document
            name = self.document_name(recipe)
            if kind == "html":
                return write(document, self.lens(recipe), recipe.title, view.query())
            lens = self.lens(recipe) if view.lens else b""
            return render(document, lens, recipe.title, kind, view, name)

        seen = hashlib.sha256(view.query().encode()).hexdigest()[:16]
        return self._view(f"{_name(recipe.id)}.{seen}.{kind}", make)

    def table(self, recipe: Recipe, batch: int) -> tuple[Row, ...]:
        """The modules of a recipe as rows, kept like pictures. Raises CannotDraw."""

        def make() -> bytes:
            captured = self.captured(recipe)
            found = table.rows(captured.graph, captured.module, captured.parameters, batch)
            return table.to_json(found)

        return table.from_json(self._view(f"{_name(recipe.id)}.{batch}.table.json", make))

    def document_name(self, recipe: Recipe) -> str:
        """The name by which Netron gets a drawing; see `viewer.page`. Raises CannotDraw."""
        own = own_document(recipe.base)
        return own if own and self.draw(recipe).summary.method == AS_IT_IS else DOCUMENT

    def captured(self, recipe: Recipe) -> Captured:
        """The graph of a recipe; the latest few are kept in memory. Raises CannotDraw."""
        with self._capturing:  # the page asks for a picture and its numbers at once
            if found := self._captured.get(recipe.id):
                return found
            made = self._captured[recipe.id] = _capture(recipe, self.store)
            while len(self._captured) > CAPTURED:
                self._captured.popitem(last=False)
            return made

    def _file(self, name: str, make: Callable[[], bytes]) -> bytes:
        found = self.store.get_file(KIND, name)
        if found is None:
            found = make()
            self.store.put_file(KIND, name, found)
        return found

    def _view(self, name: str, make: Callable[[], bytes]) -> bytes:
        """As `_file`, of what there may be endlessly many: the oldest are removed."""
        found = self.store.get_file(VIEWS, name)
        if found is None:
            found = make()
            self.store.put_file(VIEWS, name, found)
            self.store.trim(VIEWS, MOST_VIEW_BYTES)
        return found

    def _draw(self, recipe: Recipe) -> Drawing:
        from netgraft.graph import document

        if document_format(recipe.base):
            return self._as_it_is(recipe)
        try:
            captured = self.captured(recipe)
        except CannotDraw:
            if not own_document(recipe.base):
                raise
            return self._as_it_is(recipe)
        summary = _summary(captured)
        properties = _properties(recipe, captured.graph)
        drawing = Drawing(summary, document.write(captured.graph, recipe.title, properties))
        # The document first: who finds the summary finds both.
        self.store.put_file(KIND, f"{_name(recipe.id)}.onnx", drawing.document)
        self.store.put_file(KIND, f"{_name(recipe.id)}.json", json.dumps(asdict(summary)).encode())
        return drawing

    def _as_it_is(self, recipe: Recipe) -> Drawing:
        """A user's file for Netron to read, and what is known of it without reading it."""
        found = facts(recipe.base, self.store)
        summary = Summary(AS_IT_IS, found.top_level, found.nodes, found.parameters, 0, ())
        return Drawing(summary, content(recipe.base, self.store))

    def _load(self, model_id: str) -> Drawing | None:
        text = self.store.get_file(KIND, f"{_name(model_id)}.json")
        data = self.store.get_file(KIND, f"{_name(model_id)}.onnx")
        if text is None or data is None:
            return None
        fields = json.loads(text)
        return Drawing(Summary(**fields | {"modules": tuple(fields["modules"])}), data)

    def _keep(self, model_id: str, drawing: Drawing) -> Drawing:
        if drawing.summary.method == AS_IT_IS:  # it may be large, and is read, not made
            return drawing
        with self._lock:
            self._memory[model_id] = drawing
            while len(self._memory) > IN_MEMORY:
                self._memory.popitem(last=False)
        return drawing


def _capture(recipe: Recipe, store: Store) -> Captured:
    from netgraft.graph.capture.capture import capture, parameters, sizes
    from netgraft.graph.nesting import nest

    recording, module = capture(RecipeSubject(recipe, store))
    return Captured(nest(recording, sizes(module)), module, parameters(module))


def _summary(captured: Captured) -> Summary:
    graph = captured.graph
    return Summary(
        method=graph.method,
        top_level_nodes=len(graph.nodes),
        operators=sum(1 for _ in graph.operations()),
        parameters=graph.size().parameters,
        trainable_parameters=graph.size().trainable,
        modules=tuple(path for path, _ in captured.module.named_modules() if path),
    )


def _properties(recipe: Recipe, graph: Graph) -> dict[str, str]:
    """What Netron shows of the model as a whole."""
    size = graph.size()
    return {
        "base": str(recipe.base),
        "class": graph.type,
        "parameters": f"{size.parameters:,}",
        "trainable": f"{size.trainable:,}",
        "drawn by": graph.method,
        "id": recipe.id,
    }


def _name(model_id: str) -> str:
    return f"{model_id}.{_version()}"


@lru_cache(maxsize=1)
def _version() -> str:
    """Hash of the code that draws."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("**/*.py"), *folder.glob("**/*.js")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
