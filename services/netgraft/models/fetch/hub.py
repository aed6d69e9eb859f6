"""Files of the Hugging Face hub, told as they arrive.

huggingface_hub itself gets them: it goes to $HF_ENDPOINT, through the usual proxies, resumes a
connection that breaks, and keeps what it got in its own cache, named by its hash.
"""

import hashlib
import io
import queue
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from tqdm.std import tqdm

from netgraft.language import Message
from netgraft.models.fetch.cached import HUB_FILES
from netgraft.models.fetch.http import Progress, WrongContent
from netgraft.models.sources.huggingface import config as hf_config
from netgraft.models.sources.huggingface import folder as hf_folder
from netgraft.models.untrusted.safe_open import Limit, of_hugging_face

Told = queue.SimpleQueue[Progress | Exception | None]
"""What the thread that downloads says to the one that asked; None: the file is there."""

SHA256 = re.compile(r"[0-9a-f]{64}")
SHARD = re.compile(r"model-[\w-]+\.safetensors")


def download(repository: str) -> Iterator[Progress]:
    """Bring a repository's weights into the cache. Raises what huggingface_hub does (OSError)."""
    id_, _, revision = repository.partition("@")
    return _told(lambda told: [_first(id_, revision, told)])


def download_model(id_: str, revision: str | None) -> Iterator[Progress]:
    """Bring what `save_pretrained` writes into the cache, all of one commit.

    Raises TooLarge, and what huggingface_hub does (OSError).
    """
    return _told(lambda told: _model(id_, revision or "", told))


def _told(bring: Callable[[Told], list[Path]]) -> Iterator[Progress]:
    """What a thread tells that brings files; what it raises is raised here."""
    told = Told()
    threading.Thread(target=_bring, args=(bring, told), daemon=True).start()
    while (item := told.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item


def _bring(bring: Callable[[Told], list[Path]], told: Told) -> None:
    try:
        for file in bring(told):
            _check(file)
            size = file.stat().st_size
            told.put(Progress(file.name, size, size))
        told.put(None)
    except Exception as error:  # noqa: BLE001  # raised again in the thread that asked
        told.put(error)


def _model(id_: str, revision: str, told: Told) -> list[Path]:
    limit = of_hugging_face()
    config = _get(id_, revision, hf_config.CONFIG, told, limit)
    commit = config.parent.name
    with suppress(EntryNotFoundError):  # there need not be one
        _get(id_, commit, hf_config.PICTURES, told, limit)
    try:
        return [_get(id_, commit, hf_folder.WHOLE, told, limit)]
    except EntryNotFoundError:
        index = _get(id_, commit, hf_folder.INDEX, told, limit)
    shards = hf_folder.shards(index, id_)
    if strays := [shard for shard in shards if not SHARD.fullmatch(shard)]:
        problem = Message(
            "{file} names {part!r}, which is not part of it", file=index.name, part=strays[0]
        )
        raise WrongContent(problem)
    files: list[Path] = []
    for shard in shards:
        files.append(_get(id_, commit, shard, told, limit))
        if sum(file.stat().st_size for file in files) > limit.bytes:
            raise limit.error(id_)
    return files


def _first(id_: str, revision: str, told: Told) -> Path:
    """The first of the files that weights may lie in."""
    for name in HUB_FILES[:-1]:
        try:
            return _get(id_, revision, name, told)
        except EntryNotFoundError:
            continue
    return _get(id_, revision, HUB_FILES[-1], told)


def _get(id_: str, revision: str, name: str, told: Told, limit: Limit | None = None) -> Path:
    class Bar(tqdm):  # type: ignore[misc]
        """A progress bar that draws nothing and tells instead."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)  # a word of huggingface_hub's own bars
            super().__init__(*args, **kwargs | {"disable": False, "file": io.StringIO()})
            if limit and (self.total or 0) > limit.bytes:
                raise limit.error(f"{id_}/{name}")

        def update(self, n: float | None = 1) -> bool | None:
            drawn: bool | None = super().update(n)
            told.put(Progress(name, int(self.n), int(self.total or 0), int(self.initial)))
            return drawn

    return Path(hf_hub_download(id_, name, revision=revision or None, tqdm_class=Bar))


def _check(file: Path) -> None:
    """A large file's place in the cache is named by its SHA-256. Raises WrongContent."""
    blob = file.resolve()
    if not SHA256.fullmatch(blob.name):
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
