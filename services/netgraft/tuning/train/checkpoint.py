"""Checkpoints: the whole state of a run, in files whose names hold a digest of their content.

The store keeps them as `runs/JOB/STEP-DIGEST.ckpt`, and the best weights so far beside them as
`runs/JOB/STEP-DIGEST.best`. A file is written under another name first, and read only when its
SHA-256 begins with DIGEST: if the newest file is incomplete, the one before it is read. Only
tensors and plain values are unpickled.
"""

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import torch

from netgraft.store.store import Store

KEPT = 2
"""The newest, and one more in case the newest is damaged."""
BESTS_KEPT = KEPT + 3
"""Each of the kept checkpoints may name the three of a soup, and the next is written before its
checkpoint."""
DIGITS = 16
STATE, BEST = ".ckpt", ".best"


def save(store: Store, job_id: str, step: int, state: dict[str, Any]) -> None:
    """Write the state of a step and drop older ones, of the same step too. Raises DiskFull."""
    _write(store, job_id, step, state, STATE, KEPT)


def save_best(store: Store, job_id: str, step: int, state: dict[str, Any]) -> str:
    """Write the best weights so far, and return the name for `best`. Raises DiskFull."""
    return _write(store, job_id, step, state, BEST, BESTS_KEPT)


def keep_last(store: Store, job_id: str) -> None:
    """Of a job that has its result keep the newest checkpoint and its best weights only."""
    states = list(_newest_first(store, job_id, STATE))
    last = _read(store, job_id, states[0]) if states else None
    kept = {last["best"] if last else None}
    bests = [name for name in _newest_first(store, job_id, BEST) if name not in kept]
    for name in [*states[1:], *bests]:
        _drop(store, job_id, name)


def newest(store: Store, job_id: str) -> dict[str, Any] | None:
    """The state to go on from, on the CPU; None when there is no checkpoint.

    Before the first step it may hold decisions alone, and no learner.

    One whose best weights are damaged is passed over, too.
    """
    for name in _newest_first(store, job_id, STATE):
        state = _read(store, job_id, name)
        if state is None:
            continue
        if not state.get("best") or best(store, job_id, state["best"]) is not None:
            return state
    return None


def best(store: Store, job_id: str, name: str) -> dict[str, Any] | None:
    """Return what `save_best` wrote; None where it is gone or damaged."""
    try:
        return _read(store, job_id, name)
    except FileNotFoundError:
        return None


def _write(
    store: Store, job_id: str, step: int, state: dict[str, Any], suffix: str, kept: int
) -> str:
    stream = io.BytesIO()
    torch.save(state, stream)
    data = stream.getvalue()
    digest = hashlib.sha256(data).hexdigest()[:DIGITS]
    written = f"{step:09d}-{digest}{suffix}"
    store.put_file(_folder(job_id), written, data)
    names = list(_newest_first(store, job_id, suffix))
    if suffix == STATE:  # of two states of one step, names do not tell the newer
        for name in [name for name in names if name.startswith(f"{step:09d}-") and name != written]:
            names.remove(name)
            _drop(store, job_id, name)
    for name in names[kept:]:
        _drop(store, job_id, name)
    return written


def _drop(store: Store, job_id: str, name: str) -> None:
    store.files.rm(f"{store.root}/{_folder(job_id)}/{name}")


def _read(store: Store, job_id: str, name: str) -> dict[str, Any] | None:
    data = store.read(_folder(job_id), name)
    digest = name.rpartition(".")[0].rpartition("-")[2]
    if not hashlib.sha256(data).hexdigest().startswith(digest):
        return None
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


def _newest_first(store: Store, job_id: str, suffix: str) -> Iterator[str]:
    store.files.invalidate_cache()
    try:
        found = store.files.ls(f"{store.root}/{_folder(job_id)}", detail=False)
    except FileNotFoundError:
        return
    names = (str(path).rpartition("/")[2] for path in found)
    yield from sorted((name for name in names if name.endswith(suffix)), reverse=True)


def _folder(job_id: str) -> str:
    return f"runs/{job_id}"
