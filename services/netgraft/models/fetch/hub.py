"""Files of the Hugging Face hub, with reports of their progress.

huggingface_hub itself gets them: it goes to $HF_ENDPOINT, through the usual proxies, resumes a
connection that breaks, and keeps what it got in its own cache, named by its hash.
"""

import hashlib
import io
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from tqdm.std import tqdm

from netgraft.language import Message
from netgraft.models.fetch.cached import HUB_FILES
from netgraft.models.fetch.http import Progress, WrongContent
from netgraft.models.naming import is_sha256
from netgraft.models.untrusted.safe_open import Limit

Reports = queue.SimpleQueue[Progress | Exception | None]
"""From the thread that downloads to the one that asked; None: everything is there."""


def download(repository: str) -> Iterator[Progress]:
    """Bring a repository's weights into the cache. Raises what huggingface_hub does (OSError)."""
    id_, _, revision = repository.partition("@")
    return reported(lambda reports: [_first(id_, revision, reports)])


def reported(bring: Callable[[Reports], list[Path]]) -> Iterator[Progress]:
    """The reports of `bring`, which runs in a thread; what it raises is raised here."""
    reports = Reports()
    threading.Thread(target=_bring, args=(bring, reports), daemon=True).start()
    while (item := reports.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item


def _bring(bring: Callable[[Reports], list[Path]], reports: Reports) -> None:
    try:
        for file in bring(reports):
            _check(file)
            size = file.stat().st_size
            reports.put(Progress(file.name, size, size))
        reports.put(None)
    except Exception as error:  # noqa: BLE001  # raised again in the thread that asked
        reports.put(error)


def _first(id_: str, revision: str, reports: Reports) -> Path:
    """The first of the files that weights may lie in."""
    for name in HUB_FILES[:-1]:
        try:
            return get(id_, revision, name, reports)
        except EntryNotFoundError:
            continue
    return get(id_, revision, HUB_FILES[-1], reports)


def get(id_: str, revision: str, name: str, reports: Reports, limit: Limit | None = None) -> Path:
    """Bring one file into the cache; its place there. Raises as huggingface_hub, and TooLarge."""

    class Bar(tqdm):  # type: ignore[misc]
        """A progress bar that draws nothing and reports instead."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)  # an argument of huggingface_hub's own bars
            super().__init__(*args, **kwargs | {"disable": False, "file": io.StringIO()})
            if limit and (self.total or 0) > limit.bytes:
                raise limit.error(f"{id_}/{name}")

        def update(self, n: float | None = 1) -> bool | None:
            drawn: bool | None = super().update(n)
            reports.put(Progress(name, int(self.n), int(self.total or 0), int(self.initial)))
            return drawn

    return Path(hf_hub_download(id_, name, revision=revision or None, tqdm_class=Bar))


def _check(file: Path) -> None:
    """A large file's place in the cache is named by its SHA-256. Raises WrongContent."""
    blob = file.resolve()
    if not is_sha256(blob.name):
        return
    with blob.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != blob.name:
        file.unlink()
        blob.unlink(missing_ok=True)
        problem = Message(
            "{file} has another SHA-256 than the hub says; it was removed", file=file.name
        )
        raise WrongContent(problem)
