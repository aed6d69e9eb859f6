"""Searching the zoo needs the base package alone; with a store there are this machine's own too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LACKING = (
    "torch", "torchvision", "timm", "huggingface_hub", "transformers", "numpy", "sqlalchemy",
    "alembic", "fsspec", "safetensors", "onnx", "netron", "ray", "PIL", "psutil", "tqdm", "gradio",
)  # fmt: skip
"""Packages that `pip install netgraft` does not bring."""

BASE = f"""
import sys
sys.modules.update(dict.fromkeys({LACKING}))  # importing one of them fails, finding it gives none
sys.argv[0] = "netgraft"
from netgraft.cli import main
main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "resnet18-f37072fd.pth").touch()
    return tmp_path


def base(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command where only the base package is installed."""
    places = {"NETGRAFT_STATE": folder / "state", "TORCH_HOME": folder / "torch"}
    environment = os.environ | {name: str(place) for name, place in places.items()}
    return subprocess.run(
        [sys.executable, "-c", BASE, *arguments],
        env=environment | {"HF_HUB_CACHE": str(folder / "hub")},
        capture_output=True,
        text=True,
        check=False,
    )


def listed(folder: Path, *arguments: str) -> list[dict[str, object]]:
    done = base(folder, "models", "--local", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    entries: list[dict[str, object]] = json.loads(done.stdout).get("entries", [])
    return entries


def test_the_zoo_is_searched_with_the_base_package_alone(folder: Path) -> None:
    found = listed(folder, "resnet18", "--source", "torchvision", "--limit", "1")
    assert [(entry["name"], entry["on_disk"]) for entry in found] == [
        ("resnet18", ["IMAGENET1K_V1"])
    ]
    here = {entry["name"] for entry in listed(folder, "--on-disk")}
    assert here == {"resnet18", "quantized_resnet18"}, "which begins from the same file"
    assert listed(folder, "--source", "local") == []
    assert not (folder / "state" / "netgraft.db").exists()


def test_what_the_base_package_cannot_do_is_said_with_what_to_install(folder: Path) -> None:
    done = base(folder, "show", "--local", "resnet18")
    assert done.returncode == 1
    assert "Install netgraft[services]" in done.stderr


def test_names_are_known_without_what_the_base_package_lacks() -> None:
    modules = ("models.zoo.catalogue", "models.zoo.labels", "models.resolve", "library.listing")
    code = "".join(f"import netgraft.{module}\n" for module in modules)
    code += "import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(LACKING) & set(done.stdout.split()) == set()
