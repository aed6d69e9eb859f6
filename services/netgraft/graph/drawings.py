"""Draw a recipe once and keep it for ever: in memory, and in the store by the model's id.

A stored drawing is named by the model and by the code that drew it, so a better
netgraft draws again.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netgraft.graph.nesting import Graph
from netgraft.models.recipe import Recipe
from netgraft.models.store import Store

if TYPE_CHECKING:
    from torch import nn

KIND = "graphs"
"""Where the store keeps drawings."""
IN_MEMORY = 64


@dataclass(frozen=True)
class Summary:
    """What is said of a drawing without opening it."""

    method: str
    """ "export" or "modules"; see `capture`."""
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
        from netgraft.models.zoo import example_inputs

        return example_inputs(self.recipe.base, batch, device)


class Drawings:
    """All drawings of a store. Safe for use from several threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._memory: OrderedDict[str, Drawing] = OrderedDict()
        self._lock = threading.Lock()
        self._drawing = threading.Lock()

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
            return hierarchy.write(_graph(recipe, self.store)[0], recipe.title)

        return self._file(f"{_name(recipe.id)}.graph.json", make)

    def picture(self, recipe: Recipe, kind: str) -> bytes:
        """The top level as "svg" or "png", kept like the drawing. Raises CannotDraw."""
        from netgraft.graph.render import render

        def make() -> bytes:
            return render(self.draw(recipe).document, recipe.title, kind)

        return self._file(f"{_name(recipe.id)}.{kind}", make)

    def _file(self, name: str, make: Callable[[], bytes]) -> bytes:
        found = self.store.get_file(KIND, name)
        if found is None:
            found = make()
            self.store.put_file(KIND, name, found)
        return found

    def _draw(self, recipe: Recipe) -> Drawing:
        from netgraft.graph import document

        graph, summary = _graph(recipe, self.store)
        drawing = Drawing(summary, document.write(graph, recipe.title, _properties(recipe, graph)))
        # The document first: who finds the summary finds both.
        self.store.put_file(KIND, f"{_name(recipe.id)}.onnx", drawing.document)
        self.store.put_file(KIND, f"{_name(recipe.id)}.json", json.dumps(asdict(summary)).encode())
        return drawing

    def _load(self, model_id: str) -> Drawing | None:
        text = self.store.get_file(KIND, f"{_name(model_id)}.json")
        data = self.store.get_file(KIND, f"{_name(model_id)}.onnx")
        if text is None or data is None:
            return None
        fields = json.loads(text)
        return Drawing(Summary(**fields | {"modules": tuple(fields["modules"])}), data)

    def _keep(self, model_id: str, drawing: Drawing) -> Drawing:
        with self._lock:
            self._memory[model_id] = drawing
            while len(self._memory) > IN_MEMORY:
                self._memory.popitem(last=False)
        return drawing


def document(recipe: Recipe, store: Store) -> bytes:
    """The ONNX document that Netron draws. Raises CannotDraw."""
    return Drawings(store).draw(recipe).document


def picture(recipe: Recipe, store: Store, kind: str) -> bytes:
    """What Netron shows, as "svg" or "png"; see `render`. Raises CannotDraw."""
    return Drawings(store).picture(recipe, kind)


def json_document(recipe: Recipe, store: Store) -> bytes:
    """The graph as JSON, modules within modules; see `hierarchy`. Raises CannotDraw."""
    return Drawings(store).hierarchy(recipe)


def _graph(recipe: Recipe, store: Store) -> tuple[Graph, Summary]:
    from netgraft.graph.capture import capture, sizes
    from netgraft.graph.nesting import nest

    recording, module = capture(RecipeSubject(recipe, store))
    graph = nest(recording, sizes(module))
    summary = Summary(
        method=graph.method,
        top_level_nodes=len(graph.nodes),
        operators=sum(1 for _ in graph.operations()),
        parameters=graph.size().parameters,
        trainable_parameters=graph.size().trainable,
        modules=tuple(path for path, _ in module.named_modules() if path),
    )
    return graph, summary


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
    for path in sorted(folder.glob("**/*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
