"""Pretrained weights of torch.hub: find, download and safely read their files.

Files are kept where the libraries keep them (`$TORCH_HOME/hub/checkpoints`, the
Hugging Face cache), so what was downloaded before is found.
"""

import os
import pickle
import re
import urllib.error
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor

from netgraft.errors import WeightsUnavailable
from netgraft.errors.disk import full_disk_is_reported
from netgraft.language import Message, quoted
from netgraft.models.fetch import http as downloading
from netgraft.models.fetch.http import Progress
from netgraft.settings import settings

HASH = re.compile(r"-([a-f0-9]{8,})\.")
"""As torch.hub.HASH_REGEX, except that "-900e." in a name of another origin is no hash."""

TORCH_SERVER = "https://download.pytorch.org"


def local_file(url: str) -> Path:
    """The place of a weights URL's file on this machine, whether it is there or not."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


def fetch(url: str, model: str) -> Path:
    """The local file of a weights URL; downloaded, and its hash checked, when missing.

    Raises WeightsUnavailable when it is not here and cannot be had, and DiskFull.
    """
    for _ in download(url, model):
        pass
    return local_file(url)


def download(url: str, model: str) -> Iterator[Progress]:
    """As `fetch`, with reports of the progress: one at least, also of a file that was here."""
    file = local_file(url)
    try:
        if not file.is_file():
            named = HASH.search(file.name)
            with full_disk_is_reported(hub_folder()):
                yield from downloading.download(_mirrored(url), file, named[1] if named else "")
        size = file.stat().st_size
        yield Progress(file.name, size, size, 0)
    except urllib.error.URLError as error:  # HTTPError's reason is the server's
        raise _unavailable(model, file, quoted(error.reason)) from error
    except OSError as error:
        raise _unavailable(model, file, _reported(error)) from error


def _mirrored(url: str) -> str:
    """The URL at the mirror that the settings name, if torch's server is meant."""
    mirror = settings().torch_mirror.rstrip("/")
    if not mirror or not url.startswith(f"{TORCH_SERVER}/"):
        return url
    return mirror + url.removeprefix(TORCH_SERVER)


def read(file: Path, model: str) -> dict[str, Tensor]:
    """The state dict of a file, on the CPU. Only tensors are unpickled.

    Where torch wrote a zip archive, a tensor's bytes are read when they are first used, so
    that a few tensors cost what they hold. Files from before torch 1.6 are read whole.

    Raises WeightsUnavailable when the file is damaged or holds more than tensors.
    """
    try:
        lazily = zipfile.is_zipfile(file)
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=lazily)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        problem = Message("{file} is damaged; remove it", file=file.name)
        raise _unavailable(model, file, problem) from error
    return dict(state)


def hub_folder() -> str:
    """The folder of torch.hub's weights, with "~" for the home folder."""
    folder = os.path.join(torch.hub.get_dir(), "checkpoints")  # noqa: PTH118
    return folder.replace(str(Path.home()), "~", 1)


def _reported(error: OSError) -> Message:
    return error.problem if isinstance(error, downloading.WrongContent) else quoted(error)


def _unavailable(model: str, file: Path, problem: Message) -> WeightsUnavailable:
    return WeightsUnavailable(model=model, problem=problem, file=file.name, folder=hub_folder())
