"""The processors that this process may use."""

import math
import os
from contextlib import suppress
from pathlib import Path

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""Quota and period of a container, in microseconds (cgroup v2)."""
GPUS = Path("/proc/driver/nvidia/gpus")


def usable_cores() -> int:
    """Cores by affinity and by the container's quota; at least one."""
    every = os.cpu_count() or 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else every
    with suppress(OSError, ValueError):  # no cgroup, or "max"
        quota, period = map(int, CPU_MAX.read_text().split())
        cores = min(cores, math.ceil(quota / period))
    return max(1, cores)


def usable_gpus() -> int:
    """NVIDIA GPUs that CUDA_VISIBLE_DEVICES does not hide, found without CUDA."""
    found = len(list(GPUS.glob("*")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    named = [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    return min(found, len(named))
