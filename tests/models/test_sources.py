"""Every source honours one protocol, and one from outside of the package is as good as ours."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from netgraft.graph.servicer import GraphsServicer
from netgraft.library.servicer import ModelsServicer
from netgraft.models import source as sources
from netgraft.models.build import build
from netgraft.models.recipe import Base
from netgraft.models.recipes import get_recipe
from netgraft.models.source import Plain, Preprocessing, Source
from netgraft.models.zoo.entry import Entry
from netgraft.models.zoo.library import Library
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import graph_pb2, models_pb2, surgery_pb2

SERVICES = Path(sources.__file__).parents[1]
NAMES = {source.name for source in sources.sources()}

STRIPPING = ("removeprefix", "startswith")
"""Methods of a text by which one asks for its beginning."""

CODE = (
    "model = nn.Sequential(",
    "    nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),",
    "    nn.Linear(4, 10),",
    ")",
)


class PocketSource(Library):
    """A library of one model, as another package would write it."""

    name = "pocket"

    def names(self) -> tuple[str, ...]:
        return ("net",)

    def entry(self, name: str) -> Entry:
        return Entry(f"pocket/{name}", self.name, "classification", 162, 0.0, 32, ("small",))

    def construct(self, base: Base) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 10),
        )

    def weights(self, base: Base) -> dict[str, torch.Tensor]:
        return {key: value.fill_(0.5) for key, value in self.construct(base).state_dict().items()}

    def has_file(self, base: Base) -> bool:
        return True

    def input_shape(self, base: Base) -> tuple[int, ...]:
        return (3, 32, 32)

    def preprocessing(self, base: Base) -> Preprocessing:
        return Preprocessing(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def plain(self, base: Base) -> Plain:
        return Plain((), CODE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'db.sqlite'}")
    yield store
    store.engine.dispose()


@pytest.fixture
def pocket() -> Iterator[None]:
    sources.register(PocketSource())
    yield
    sources.unregister(PocketSource.name)


def exported(models: ModelsServicer, model: str, kind: str) -> bytes:
    request = models_pb2.ExportModelRequest(model=model, format=kind)
    return b"".join(part.data for part in models.ExportModel(request))


def test_a_source_of_another_package_is_listed_resolved_built_drawn_edited_and_exported(
    pocket: None, store: Store, tmp_path: Path
) -> None:
    models, surgery, graphs = ModelsServicer(store), SurgeryServicer(store), GraphsServicer(store)
    listed = models.ListModels(models_pb2.ListModelsRequest(query="net", source="pocket"))
    assert [entry.name for entry in listed.entries] == ["pocket/net"]
    model = models.ResolveModel(models_pb2.ResolveModelRequest(model="pocket/net"))
    assert (model.title, model.base, model.task) == (
        "pocket/net",
        "pocket/net@small",
        "classification",
    )
    assert build(get_recipe(store, model.id), store)[4].weight.eq(0.5).all()
    random = models.ResolveModel(models_pb2.ResolveModelRequest(model="pocket/net@none"))
    assert "random weights" in random.notices[0]

    graph = graphs.DrawGraph(graph_pb2.DrawGraphRequest(model=model.id))
    assert graph.operators == 5
    request = surgery_pb2.RetargetModelRequest(model=model.id, classes=3)
    edited = surgery.RetargetModel(request).model
    assert edited.title == "pocket/net · 3 classes"

    (tmp_path / "rebuild.py").write_bytes(exported(models, edited.id, "python"))
    weights = next(
        models.ExportModel(models_pb2.ExportModelRequest(model=edited.id, format="state_dict"))
    )
    (tmp_path / weights.name).write_bytes(exported(models, edited.id, "state_dict"))
    program = (
        "from rebuild import model; import torch; print(*model(torch.ones(1, 3, 32, 32)).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "3"]
    assert b"pocket" in exported(models, edited.id, "card")


def test_a_source_that_went_away_is_not_found(store: Store) -> None:
    with pytest.raises(KeyError):
        sources.source("pocket")
    assert "pocket" not in {source.name for source in sources.sources()}


def test_sources_are_found_and_the_file_source_is_asked_last() -> None:
    assert {"torchvision", "timm", "hf", "keras", "file"} == NAMES
    assert sources.sources()[-1].name == "file"


@pytest.mark.parametrize("source", sources.sources(), ids=lambda source: source.name)
def test_every_source_derives_from_the_protocol_and_adds_nothing_that_others_must_know(
    source: Source,
) -> None:
    """What a source has of its own is either in the protocol or only for libraries."""
    known = {name for kind in (Source, Library) for name in (*vars(kind), *kind.__annotations__)}
    own = {name for name in vars(type(source)) if not name.startswith("_")}
    assert Source in type(source).__mro__
    assert own <= known


def compared(node: ast.AST) -> Iterator[str]:
    """Texts that a comparison holds something to, or that are taken off the front of a text."""
    if isinstance(node, ast.Compare):
        parts = [node.left, *node.comparators]
        each = [e for part in parts for e in (part.elts if isinstance(part, ast.Tuple) else [part])]
        yield from (
            e.value for e in each if isinstance(e, ast.Constant) and isinstance(e.value, str)
        )
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in STRIPPING:
        yield from (str(e.value) for e in node.args if isinstance(e, ast.Constant))


def branches(source: str) -> set[str]:
    """Names of sources by which a program decides something."""
    texts = {text for node in ast.walk(ast.parse(source)) for text in compared(node)}
    libraries = NAMES - {"file", "keras"}
    return {text for text in texts if text.rstrip("/") in libraries}


def test_nothing_outside_of_the_sources_branches_on_their_names() -> None:
    # The planner reads words: "from timm" is one of those that people say.
    exempt = {SERVICES / "models" / "sources", SERVICES / "agent" / "rules"}
    files = [path for path in SERVICES.rglob("*.py") if not exempt & {*path.parents}]
    assert {path.name: found for path in files if (found := branches(path.read_text()))} == {}


@pytest.mark.parametrize(
    "line",
    [
        'if base.source == "timm": pass',
        'x = base.source in ("file", "hf")',
        'name.removeprefix("timm/")',
        'text.lower().startswith("hf/")',
    ],
)
def test_a_planted_branch_is_found(line: str) -> None:
    assert branches(line)
