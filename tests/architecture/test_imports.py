"""Imports go one way: down the floors, into no package beside, and in no circle."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "services", ROOT / "ui"]

FLOORS = (
    ("errors", "language", "private", "settings", "logs", "deadlines", "loopback", "parent"),
    ("store",),
    ("models",),
    ("anatomy",),
    ("library", "graph", "surgery", "tuning", "agent"),
    ("serving", "client", "sending", "codes", "running", "readiness", "repeating", "app"),
    ("nn", "cli"),
)
"""Packages from the ground up: each imports only itself and those below it."""
GROUND, SLICES = FLOORS[0], FLOORS[4]
TENSORS = ("store", "models", "anatomy", "library", "graph", "surgery", "tuning", "nn")
"""Packages that may import torch."""
SEEDS = "netgraft.serving.forks.forks"
"""Seeds torch in what it has forked: all forks would draw the same numbers."""
EDGES = ("servicer", "deployment")
LENGTH = 400
"""Most lines that a file may have."""

MAY_IMPORT_RAY = {
    "netgraft.app.cluster",  # its driver
    "netgraft.serving.ray_patches",
    "netgraft.serving.cluster.machine",  # starts, finds and stops the actors of runs
    "netgraft.serving.cluster.run",  # is one
    *(f"netgraft.{part}.deployment" for part in SLICES),
    "netgraft.tuning.workers.distribute",  # lays Ray Train around the single-device step
    "netgraft.tuning.workers.process_group",  # the same: its workers' process group
}

TORCH = {"torch", "torchvision", "timm", "torchmetrics"}
WIRE = {"grpc", "google.protobuf", "google.rpc", "grpc_status"}
WEB = {"gradio", "starlette", "uvicorn", "fastapi"}

Breach = str


def modules() -> Iterator[tuple[str, str]]:
    """Every module of ours: dotted name and source."""
    for root in SOURCES:
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(p for p in parts if p != "__init__"), path.read_text()


def imports(module: str, source: str) -> Iterator[str]:
    """Dotted names that a module imports anywhere in it, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *filter(None, [base])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def part(module: str) -> str:
    """The part of netgraft that a module of ours belongs to, such as "graph" or "errors"."""
    return module.split(".")[1] if module.startswith("netgraft.") else ""


def layer(name: str) -> str:
    """The module within its package that a name belongs to, such as "servicer" or "store"."""
    parts = name.split(".")
    return parts[2] if parts[0] == "netgraft" and len(parts) > 2 else ""


def floor(part: str) -> int:
    """The floor of a package, from the ground up; -1 if it is not in FLOORS."""
    return next((level for level, parts in enumerate(FLOORS) if part in parts), -1)


def allowed_parts(module: str) -> set[str]:
    """Packages that a module may import from, apart from its own."""
    here = part(module)
    at_edge = module.rpartition(".")[2] in EDGES
    below = {name for parts in FLOORS[: max(floor(here), 0)] for name in parts}
    if here == "agent":  # It carries plans out over gRPC, so it holds messages and the client.
        return below | {"client", "repeating", "v1", "serving"}
    if here in SLICES:
        return below | ({"serving", "v1"} if at_edge else set())
    return {
        "errors": {"language"},
        "settings": {"errors", "language", "private"},
        "logs": {"private"},
        "serving": {*below, "readiness", "running", "v1"} - {"anatomy", *SLICES},
        # The size of a message that a server takes.
        "client": {*GROUND, "repeating", "serving", "v1"},
        "sending": {"errors", "client", "v1"},
        "codes": {"private", "settings"},
        "running": {"errors", "loopback", "private", "settings"},
        "repeating": set(),
        # It waits for the first answer.
        "app": {*below, "client", "codes", "readiness", "running", "serving", "v1"},
        "nn": below,
        "cli": {*below, "v1"},
        "ui": {*GROUND, "client", "codes", "readiness", "sending", "v1"},
    }.get(here, below)


def breaches(module: str, source: str) -> list[Breach]:
    """The imports of a module that break the rules, one sentence each."""
    here = part(module)
    at_edge = module.rpartition(".")[2] in EDGES
    found = []
    for name in imports(module, source):
        if within(name, {"ray"}) and module not in MAY_IMPORT_RAY:
            found.append(f"{module} imports {name}: only deployments and app know Ray")
        if within(name, TORCH) and here not in TENSORS and module != SEEDS:
            found.append(f"{module} imports {name}: {here} never imports torch")
        if within(name, WEB) and here != "ui":
            found.append(f"{module} imports {name}: only ui knows the web")
        if within(name, WIRE) and here in TENSORS and not at_edge:
            found.append(f"{module} imports {name}: protobuf and gRPC stay at the edge")
        if layer(name) == "deployment":
            found.append(f"{module} imports {name}: only app binds deployments, by their names")
        if layer(name) == "servicer" and not (at_edge or here in ("cli", "agent")):
            found.append(f"{module} imports {name}: what is inside knows no servicer")
        if name.startswith("netgraft.") and part(name) not in {here, *allowed_parts(module)}:
            found.append(f"{module} imports {name}: {here} knows nothing of {part(name)}")
    return found


def test_no_module_breaks_the_import_rules() -> None:
    found = [breach for name, source in modules() for breach in breaches(name, source)]
    assert found == []


def test_every_room_is_looked_at() -> None:
    parts = {part(name) for name, _ in modules()}
    assert parts >= {"store", "models", "anatomy", *SLICES, "serving", "app", "client", "cli", "ui"}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("netgraft.graph.draw", "from netgraft.surgery import heads"),
        ("netgraft.graph.draw", "from ..surgery.heads import find"),
        ("netgraft.graph.draw", "def f():\n    import ray"),
        ("netgraft.graph.draw", "from netgraft.v1 import graph_pb2"),
        ("netgraft.graph.servicer", "from netgraft.tuning.servicer import TuningServicer"),
        ("netgraft.graph.draw", "from netgraft.graph.servicer import model_message"),
        ("netgraft.graph.servicer", "from netgraft.graph.deployment import app"),
        ("netgraft.models.resolve", "from grpc import StatusCode"),
        ("netgraft.models.resolve", "import gradio as gr"),
        ("netgraft.models.resolve", "from netgraft import graph"),
        ("netgraft.models.resolve", "from netgraft.serving.servicers import expose"),
        ("netgraft.agent.rules", "def f():\n    from torch import nn"),
        ("netgraft.ui.page", "import torch.nn"),
        ("netgraft.ui.page", "from netgraft.store.store import Store"),
        ("netgraft.ui.page", "from netgraft import serving"),
        ("netgraft.errors", "from netgraft.settings import settings"),
        ("netgraft.serving.servicers", "import ray"),
        ("netgraft.cli.program", "from netgraft.ui import page"),
        ("netgraft.cli.program", "from timm import create_model"),
        ("netgraft.tuning.train.step", "from ray import train"),
    ],
)
def test_a_planted_breach_is_found(module: str, source: str) -> None:
    assert len(breaches(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("netgraft.graph.deployment", "from ray import serve\nfrom . import edge"),
        ("netgraft.graph.servicer", "from netgraft.v1 import graph_pb2\nimport grpc"),
        ("netgraft.graph.servicer", "from netgraft.serving.messages import model_message"),
        ("netgraft.graph.draw", "import torch\nfrom netgraft.models.build import build"),
        ("netgraft.agent.run", "from netgraft.client import AsyncClient"),
        ("netgraft.ui.page", "import gradio\nfrom netgraft.client import Client"),
        (
            "netgraft.cli.program",
            "def f():\n    from netgraft.graph.servicer import GraphsServicer",
        ),
    ],
)
def test_what_the_house_allows_is_no_breach(module: str, source: str) -> None:
    assert breaches(module, source) == []


def circles(imported: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, round and round (Kosaraju's two walks)."""
    importers: dict[str, set[str]] = {name: set() for name in imported}
    for name, targets in imported.items():
        for target in targets:
            importers[target].add(name)
    seen: set[str] = set()

    def walk(name: str, edges: dict[str, set[str]]) -> list[str]:
        if name in seen:
            return []
        seen.add(name)
        return [one for other in sorted(edges[name]) for one in walk(other, edges)] + [name]

    order = [one for name in sorted(imported) for one in walk(name, imported)]
    seen.clear()
    groups = [walk(name, importers) for name in reversed(order)]
    return [sorted(group) for group in groups if len(group) > 1]


def file_of(name: str, files: set[str]) -> str:
    """The module that an imported name belongs to; "" if it is not ours."""
    while name and name not in files:
        name = name.rpartition(".")[0]
    return name


def test_no_files_import_each_other_in_a_circle() -> None:
    ours = dict(modules())
    imported = {
        module: {file_of(name, set(ours)) for name in imports(module, source)} - {"", module}
        for module, source in ours.items()
    }
    assert circles(imported) == []


def test_a_planted_circle_is_found() -> None:
    imported = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}
    assert circles(imported) == [["b", "c"]]


def test_no_file_is_longer_than_one_reads_in_a_sitting() -> None:
    files = [path for root in SOURCES for path in root.rglob("*") if path.suffix in (".py", ".js")]
    lengths = {path.name: path.read_text().count("\n") for path in files}
    assert {name: count for name, count in lengths.items() if count > LENGTH} == {}


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("netgraft.client", {"torch", "ray", "gradio", "sqlalchemy"}),
        ("netgraft.cli", {"torch", "ray", "gradio"}),
        ("netgraft.agent.servicer", {"torch", "ray", "gradio"}),
        ("netgraft.ui.__main__", {"torch", "ray", "sqlalchemy", "netgraft.models"}),
        ("netgraft.models.zoo.catalogue", {"torch", "timm", "ray", "grpc"}),
        ("netgraft.serving.servicers", {"torch", "ray"}),
        ("netgraft.app.local", {"torch", "ray", "grpc", "sqlalchemy"}),
        ("netgraft.app.front", {"torch", "ray", "gradio"}),
        ("netgraft.tuning.workers.process_group", {"torch"}),  # slow in driver and controller
        ("netgraft.tuning.deployment", {"torch"}),  # its replica asks the fork server for it
        ("netgraft.library.deployment", {"torch"}),
        ("netgraft.app.node", {"torch", "ray", "grpc", "sqlalchemy"}),  # a fork server does
        ("netgraft.app.ray", {"torch", "ray", "grpc"}),
    ],
)
def test_importing_it_does_not_load_what_it_must_not_know(module: str, never: set[str]) -> None:
    """Directly or through others: what counts is what the process has loaded."""
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert never & set(done.stdout.split()) == set()
