"""The kind of the machine that runs: earlier runs on another show nothing of its speed."""

import os
from functools import lru_cache
from pathlib import Path

GPUS = Path("/proc/driver/nvidia/gpus")
CPUINFO = Path("/proc/cpuinfo")


@lru_cache(maxsize=1)
def machine() -> str:
    """The kind of this machine: runs on another take another time."""
    model = "cpu"
    if CPUINFO.exists():
        lines = CPUINFO.read_text().splitlines()
        named = (line.split(":", 1)[1] for line in lines if line.startswith("model name"))
        model = " ".join(next(named, "cpu").split())
    return " · ".join([model, f"{cores()} cores", *gpu_names()])


def gpu_names() -> list[str]:
    """The names of this machine's GPUs, found without CUDA."""
    found = []
    for folder in sorted(GPUS.glob("*")):
        text = (folder / "information").read_text() if (folder / "information").exists() else ""
        lines = [line.split(":", 1)[1] for line in text.splitlines() if line.startswith("Model:")]
        found.append(" ".join(lines[0].split()) if lines else "GPU")
    return found


def cores() -> int:
    """The cores of this machine that may be used."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
