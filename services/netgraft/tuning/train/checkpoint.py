"""Checkpoints: the whole state of a run, in files whose names hold a digest of their content.

The store keeps them as `runs/JOB/STEP-DIGEST.ckpt`. A file is written under another name
first, and read only when its SHA-256 begins with DIGEST: if the newest file is incomplete,
the one before it is read. Only tensors and plain values are unpickled.
"""

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import torch

from netgraft.store.store import Store

KEPT = 2
"""The newest, and one more in case the newest is damaged."""
DIGITS = 16


def save(store: Store, job_id: str, step: int, state: dict[str, Any]) -> None:
    """Write the state of a step and drop older ones. Raises DiskFull."""
    stream = io.BytesIO()
    torch.save(state, stream)
    data = stream.getvalue()
    digest = hashlib.sha256(data).hexdigest()[:DIGITS]
    store.put_file(_folder(job_id), f"{step:09d}-{digest}.ckpt", data)
    for name in list(_newest_first(store, job_id))[KEPT:]:
        store.files.rm(f"{store.root}/{_folder(job_id)}/{name}")


def clear(store: Store, job_id: str) -> None:
    """Drop all checkpoints of a job that has its result."""
    for name in list(_newest_first(store, job_id)):
        store.files.rm(f"{store.root}/{_folder(job_id)}/{name}")


def newest(store: Store, job_id: str) -> dict[str, Any] | None:
    """The state to go on from, on the CPU; None when there is no checkpoint."""
    for name in _newest_first(store, job_id):
        data = store.read(_folder(job_id), name)
        digest = name.removesuffix(".ckpt").rpartition("-")[2]
        if hashlib.sha256(data).hexdigest().startswith(digest):
            state: dict[str, Any] = torch.load(
                io.BytesIO(data), map_location="cpu", weights_only=True
            )
            return state
    return None


def _newest_first(store: Store, job_id: str) -> Iterator[str]:
    store.files.invalidate_cache()
    try:
        found = store.files.ls(f"{store.root}/{_folder(job_id)}", detail=False)
    except FileNotFoundError:
        return
    names = (str(path).rpartition("/")[2] for path in found)
    yield from sorted((name for name in names if name.endswith(".ckpt")), reverse=True)


def _folder(job_id: str) -> str:
    return f"runs/{job_id}"
