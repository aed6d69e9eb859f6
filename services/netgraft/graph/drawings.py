"""Draw a recipe once and keep it permanently, by the model's id and the code that drew it.

So a better netgraft draws again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netgraft.anatomy import operations
from netgraft.errors import CannotDraw
from netgraft.graph import table
from netgraft.graph.lens import Parameter
from netgraft.graph.nesting import Graph
from netgraft.graph.table import Row
from netgraft.graph.viewer import sentences
from netgraft.graph.viewer.pages import DOCUMENT
from netgraft.graph.viewer.view import View
from netgraft.models.files.kept import content
from netgraft.models.files.open import document_format, facts, own_document
from netgraft.models.recipe import Recipe
from netgraft.store.memo import Memo
from netgraft.store.recent import Recent
from netgraft.store.store import Store

if TYPE_CHECKING:
    from torch import nn

KIND = "graphs"
"""Where the store keeps drawings."""
VIEWS = "pictures"
"""Where it keeps pictures and tables: each view of a drawing is one, and views are endless."""
MOST_VIEW_BYTES = 2**30
"""The oldest are dropped first; a dropped one is drawn again with the same result."""
AS_IT_IS = "file"
"""The method of a drawing that is the user's own file."""
CAPTURED = 8
"""Number of captured graphs kept in memory."""


@dataclass(frozen=True)
class Summary:
    """The facts about a drawing that are known without opening it."""

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
    """A recipe in the form that `capture` takes: without its weights' values."""

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
        self._captured = Recent[Captured](CAPTURED)

    def find(self, recipe: Recipe) -> Drawing | None:
        """The stored drawing of a recipe, or None."""
        return DRAWING.find(self.store, recipe.id)

    def draw(self, recipe: Recipe) -> Drawing:
        """The drawing of a recipe; made now when there is none. Raises CannotDraw."""
        if document_format(recipe.base):
            return self._as_it_is(recipe)
        try:
            return DRAWING.get(self.store, recipe.id, lambda: self._draw(recipe))
        except CannotDraw:
            if not own_document(recipe.base):
                raise
            return self._as_it_is(recipe)

    def hierarchy(self, recipe: Recipe) -> bytes:
        """The graph of a recipe as JSON, kept like the drawing. Raises CannotDraw."""
        from netgraft.graph import hierarchy

        def make() -> bytes:
            return hierarchy.write(self.captured(recipe).graph, recipe.title)

        return HIERARCHY.get(self.store, recipe.id, make)

    def lens(self, recipe: Recipe) -> bytes:
        """The numbers of every box, as JSON, kept like the drawing. Raises CannotDraw.

        Of a trained recipe the weights from before and after are read.
        """
        from netgraft.graph import lens
        from netgraft.graph.change import changes

        def make() -> bytes:
            captured = self.captured(recipe)
            return lens.write(captured.graph, captured.parameters, changes(recipe, self.store))

        return LENS.get(self.store, recipe.id, make)

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
        return PICTURE.get(self.store, f"{recipe.id}.{seen}.{kind}", make)

    def table(self, recipe: Recipe, batch: int) -> tuple[Row, ...]:
        """The modules of a recipe as rows, kept like pictures. Raises CannotDraw."""

        def make() -> tuple[Row, ...]:
            captured = self.captured(recipe)
            return table.rows(captured.graph, captured.module, captured.parameters, batch)

        return TABLE.get(self.store, f"{recipe.id}.{batch}", make)

    def document_name(self, recipe: Recipe) -> str:
        """The file name by which Netron gets a drawing; see `viewer.page`. Raises CannotDraw."""
        own = own_document(recipe.base)
        return own if own and self.draw(recipe).summary.method == AS_IT_IS else DOCUMENT

    def captured(self, recipe: Recipe) -> Captured:
        """The graph of a recipe; the latest few are kept in memory. Raises CannotDraw."""
        return self._captured.get(recipe.id, lambda: _capture(recipe, self.store))

    def _draw(self, recipe: Recipe) -> Drawing:
        from netgraft.graph import document

        captured = self.captured(recipe)
        properties = _properties(recipe, captured.graph)
        data = document.write(captured.graph, recipe.title, properties)
        return Drawing(_summary(captured), data)

    def _as_it_is(self, recipe: Recipe) -> Drawing:
        """A user's file for Netron to read, and what is known of it without reading it."""
        found = facts(recipe.base, self.store)
        summary = Summary(AS_IT_IS, found.top_level, found.nodes, found.parameters, 0, ())
        return Drawing(summary, content(recipe.base, self.store))


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
    """The metadata that Netron shows for the model as a whole."""
    size = graph.size()
    return {
        "base": str(recipe.base),
        "class": graph.type,
        "parameters": f"{size.parameters:,}",
        "trainable": f"{size.trainable:,}",
        "drawn by": graph.method,
        "id": recipe.id,
    }


@lru_cache(maxsize=1)
def _version() -> str:
    """Hash of the code that draws and counts, and of the sentences in its pictures."""
    folder = Path(__file__).parent
    digest = hashlib.sha256(Path(operations.__file__).read_bytes())
    for path in sorted([*folder.glob("**/*.py"), *folder.glob("**/*.js")]):
        digest.update(path.read_bytes())
    digest.update(sentences.script())
    return digest.hexdigest()[:12]


def _to_bytes(drawing: Drawing) -> bytes:
    """The summary as a line of JSON, then the document."""
    return json.dumps(asdict(drawing.summary)).encode() + b"\n" + drawing.document


def _from_bytes(data: bytes) -> Drawing:
    text, _, document = data.partition(b"\n")
    fields = json.loads(text)
    return Drawing(Summary(**fields | {"modules": tuple(fields["modules"])}), document)


DRAWING = Memo(KIND, "drawing", _version, _to_bytes, _from_bytes, in_memory=64)
HIERARCHY = Memo[bytes](KIND, "graph.json", _version, bytes, bytes, in_memory=0)
LENS = Memo[bytes](KIND, "lens.json", _version, bytes, bytes, in_memory=0)
PICTURE = Memo[bytes](
    VIEWS, "picture", _version, bytes, bytes, in_memory=0, most_bytes=MOST_VIEW_BYTES
)
TABLE = Memo[tuple[Row, ...]](
    VIEWS,
    "table.json",
    _version,
    table.to_json,
    table.from_json,
    in_memory=0,
    most_bytes=MOST_VIEW_BYTES,
)
