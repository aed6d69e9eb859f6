"""Pretrained weights: where they lie, getting them, reading them safely.

Files are kept where the libraries keep them (`$TORCH_HOME/hub/checkpoints`, the
Hugging Face cache), so what was downloaded before is found.
"""

import os
import pickle
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import Tensor

from netgraft.errors import DiskFull, WeightsUnavailable

PROBE_SECONDS = 10
ENOSPC = 28


def local_file(url: str) -> Path:
    """Where the file of a weights URL lies, or would lie."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


def fetch(url: str, model: str) -> Path:
    """The local file of a weights URL; downloaded, and its hash checked, when missing.

    Raises WeightsUnavailable when it is not here and cannot be had, and DiskFull.
    """
    file = local_file(url)
    if file.is_file():
        return file
    try:
        # torch.hub waits without a limit; a short probe first keeps "no network" quick.
        probe = urllib.request.Request(url, method="HEAD")  # noqa: S310  # torchvision's own URL
        urllib.request.urlopen(probe, timeout=PROBE_SECONDS).close()  # noqa: S310
        file.parent.mkdir(parents=True, exist_ok=True)
        digest = torch.hub.HASH_REGEX.search(file.name)
        prefix = digest.group(1) if digest else None
        torch.hub.download_url_to_file(url, str(file), prefix, progress=False)
    except urllib.error.URLError as error:
        raise _unavailable(model, file, str(error.reason)) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: torch.hub's wrong hash
        if isinstance(error, OSError) and error.errno == ENOSPC:
            raise DiskFull(folder=hub_folder()) from error
        raise _unavailable(model, file, str(error)) from error
    return file


def read(file: Path, model: str) -> dict[str, Tensor]:
    """The state dict of a file, on the CPU. Only tensors are unpickled.

    Where torch wrote a zip archive, a tensor's bytes are read when they are first used, so
    that a few tensors cost what they hold. Files of before torch 1.6 are read whole.

    Raises WeightsUnavailable when the file is damaged or holds more than tensors.
    """
    try:
        lazily = zipfile.is_zipfile(file)
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=lazily)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise _unavailable(model, file, f"{file.name} is damaged; remove it") from error
    return dict(state)


def hub_folder() -> str:
    """Where torch.hub keeps weights, with the home folder shortened for people."""
    folder = os.path.join(torch.hub.get_dir(), "checkpoints")  # noqa: PTH118
    return folder.replace(str(Path.home()), "~", 1)


def _unavailable(model: str, file: Path, problem: str) -> WeightsUnavailable:
    return WeightsUnavailable(model=model, problem=problem, file=file.name, folder=hub_folder())
