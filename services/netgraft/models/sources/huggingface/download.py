"""A model of the Hugging Face hub, brought into its cache: all files of one commit."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from netgraft.errors import WeightsUnavailable
from netgraft.language import Message, quoted
from netgraft.models.fetch.http import Progress, WrongContent
from netgraft.models.fetch.hub import Reports, get, reported
from netgraft.models.naming import shown
from netgraft.models.sources.huggingface import build as hf_build
from netgraft.models.sources.huggingface import config as hf_config
from netgraft.models.sources.huggingface import folder as hf_folder
from netgraft.models.sources.huggingface.names import NAME, parts
from netgraft.models.untrusted.safe_open import of_hugging_face

SHARD = re.compile(r"model-[\w-]+\.safetensors")


def download(reference: str) -> Iterator[Progress]:
    """Bring what hf/ORG/NAME means to this machine, and report the progress.

    Raises PackageMissing, UnsupportedFile, TooLarge and WeightsUnavailable.
    """
    hf_build.must_have_transformers()
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    name, revision = parts(reference)
    try:
        yield from reported(lambda reports: _model(name, revision or "", reports))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise _unavailable(name, error=error) from error


def _unavailable(name: str, *, error: Exception) -> WeightsUnavailable:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if isinstance(error, LocalEntryNotFoundError):
        problem = Message("no network")
    elif isinstance(error, HfHubHTTPError):
        problem = Message("the hub answers {status}", status=error.response.status_code)
    elif isinstance(error, WrongContent):
        problem = error.problem
    elif isinstance(error, HFValidationError):
        problem = quoted(error)
    else:
        problem = quoted(type(error).__name__)
    folder = Message("the Hugging Face cache")
    return WeightsUnavailable(model=shown(NAME, name), problem=problem, file=name, folder=folder)


def _model(name: str, revision: str, reports: Reports) -> list[Path]:
    """Bring the files of a model. Raises TooLarge, and as huggingface_hub (OSError)."""
    from huggingface_hub.errors import EntryNotFoundError

    limit = of_hugging_face()
    config = get(name, revision, hf_config.CONFIG, reports, limit)
    commit = config.parent.name
    with suppress(EntryNotFoundError):  # there need not be one
        get(name, commit, hf_config.PICTURES, reports, limit)
    try:
        return [get(name, commit, hf_folder.WHOLE, reports, limit)]
    except EntryNotFoundError:
        index = get(name, commit, hf_folder.INDEX, reports, limit)
    shards = hf_folder.shards(index, name)
    if strays := [shard for shard in shards if not SHARD.fullmatch(shard)]:
        problem = Message(
            "{file} names {part!r}, which is not part of it", file=index.name, part=strays[0]
        )
        raise WrongContent(problem)
    files: list[Path] = []
    for shard in shards:
        files.append(get(name, commit, shard, reports, limit))
        if sum(file.stat().st_size for file in files) > limit.bytes:
            raise limit.error(name)
    return files
