"""Imports run one way, as the house is laid: app → deployment → slice → models → errors."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "services", ROOT / "ui"]

SLICES = ("library", "graph", "surgery", "tuning", "agent")
GROUND = ("errors", "private", "settings")
EDGES = ("servicer", "deployment")

MAY_IMPORT_RAY = {
    "netgraft.app",
    "netgraft.serving.ray_patches",
    *(f"netgraft.{room}.deployment" for room in ("models", *SLICES)),
    "netgraft.tuning.workers.launch",  # submits and stops Ray jobs
    "netgraft.tuning.workers.entry",  # is one
    "netgraft.tuning.workers.distribute",  # lays Ray Train around the single-device step
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


def room(module: str) -> str:
    """The part of the house that a module of ours stands in, such as "graph" or "errors"."""
    return module.split(".")[1] if module.startswith("netgraft.") else ""


def layer(name: str) -> str:
    """What a name of ours is imported from inside its room, such as "edge" or "store"."""
    parts = name.split(".")
    return parts[2] if parts[0] == "netgraft" and len(parts) > 2 else ""


def allowed_rooms(module: str) -> set[str]:
    """Rooms that a module may import from, its own left aside."""
    here = room(module)
    at_edge = module.rpartition(".")[2] in EDGES
    if here in ("models", *SLICES):
        inward = {*GROUND, "models"}
        # The agent carries plans out over gRPC, so it holds messages and the client.
        return (
            inward
            | ({"serving", "v1"} if at_edge else set())
            | ({"client", "v1", "serving"} if here == "agent" else set())
        )
    return {
        "errors": set(),
        "private": set(),
        "settings": {"errors", "private"},
        "guard": set(GROUND),
        "ray_patches": {*GROUND, "guard"},
        "serving": {*GROUND, "guard"},
        "deadlines": set(),
        "client": {*GROUND, "deadlines", "guard", "v1"},  # the size of a message a server takes
        "sending": {"errors", "client", "v1"},
        "logs": {"private"},
        "codes": {"private", "settings"},
        "running": {"private", "settings"},
        # It waits for the first answer.
        "app": {*GROUND, "client", "codes", "logs", "ray_patches", "running", "v1"},
        "cli": {*GROUND, *SLICES, "app", "client", "codes", "models", "running", "sending"}
        | {"serving", "v1"},
        "ui": {*GROUND, "client", "codes", "sending", "v1"},
    }.get(here, set())


def breaches(module: str, source: str) -> list[Breach]:
    """What a module imports against the rules, one sentence each."""
    here = room(module)
    at_edge = module.rpartition(".")[2] in EDGES
    found = []
    for name in imports(module, source):
        if within(name, {"ray"}) and module not in MAY_IMPORT_RAY:
            found.append(f"{module} imports {name}: only deployments and app know Ray")
        if within(name, TORCH) and here not in ("models", "graph", "surgery", "tuning"):
            found.append(f"{module} imports {name}: {here} never imports torch")
        if within(name, WEB) and here != "ui":
            found.append(f"{module} imports {name}: only ui knows the web")
        if within(name, WIRE) and here in ("models", "graph", "surgery", "tuning") and not at_edge:
            found.append(f"{module} imports {name}: protobuf and gRPC stay at the edge")
        if layer(name) == "deployment":
            found.append(f"{module} imports {name}: only app binds deployments, by their names")
        if layer(name) == "edge" and not (at_edge or here in ("cli", "agent")):
            found.append(f"{module} imports {name}: what is inside does not reach for the edge")
        if name.startswith("netgraft.") and room(name) not in {here, *allowed_rooms(module)}:
            found.append(f"{module} imports {name}: {here} knows nothing of {room(name)}")
    return found


def test_no_module_breaks_the_import_rules() -> None:
    found = [breach for name, source in modules() for breach in breaches(name, source)]
    assert found == []


def test_every_room_is_looked_at() -> None:
    rooms = {room(name) for name, _ in modules()}
    assert rooms >= {"models", *SLICES, "app", "client", "cli", "ui", *GROUND}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("netgraft.graph.draw", "from netgraft.surgery import heads"),
        ("netgraft.graph.draw", "from ..surgery.heads import find"),
        ("netgraft.graph.draw", "def f():\n    import ray"),
        ("netgraft.graph.draw", "from netgraft.v1 import graph_pb2"),
        ("netgraft.graph.servicer", "from netgraft.tuning.servicer import TuningServicer"),
        ("netgraft.graph.draw", "from netgraft.library.servicer import model_message"),
        ("netgraft.graph.servicer", "from netgraft.library.deployment import app"),
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
        ("netgraft.graph.servicer", "from netgraft.library.servicer import model_message"),
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


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("netgraft.client", {"torch", "ray", "gradio", "sqlalchemy"}),
        ("netgraft.cli", {"torch", "ray", "gradio"}),
        ("netgraft.agent.servicer", {"torch", "ray", "gradio"}),
        ("netgraft.ui.__main__", {"torch", "ray", "sqlalchemy", "netgraft.models"}),
        ("netgraft.models.zoo.catalogue", {"torch", "timm", "ray", "grpc"}),
        ("netgraft.serving.servicers", {"torch", "ray"}),
    ],
)
def test_importing_it_does_not_load_what_it_must_not_know(module: str, never: set[str]) -> None:
    """Directly or through others: what counts is what the process has loaded."""
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert never & set(done.stdout.split()) == set()
