"""The circumstances of a training, kept beside the model that it made, for its card."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from netgraft.store.store import Store

KIND = "trained"
PACKAGES = ("netgraft", "torch", "torchvision", "timm", "transformers")
CPU_FACTS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Trained:
    """The facts of a model's training, as plain values."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    """Number of pictures by use: "fit", "held_back", "held_out" and perhaps "test"."""
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


def keep(store: Store, model: str, found: Trained) -> None:
    """Keep it. Raises DiskFull."""
    store.put_file(KIND, f"{model}.json", json.dumps(asdict(found)).encode())


def kept(store: Store, model: str) -> Trained | None:
    """Return what was kept for a model; None where nothing was."""
    text = store.get_file(KIND, f"{model}.json")
    return Trained(**json.loads(text)) if text else None


def machine(device: str = "") -> str:
    """This machine in a line, with the GPU that trains, if one does."""
    parts = (_processor(), f"{os.cpu_count() or 1} cores", platform.system(), device)
    return ", ".join(part for part in parts if part)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that a training depends on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # one that this installation does without
            continue
    return found


def _processor() -> str:
    """The processor's own name, where the system says it."""
    try:
        lines = CPU_FACTS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
