"""Models of transformers in the hub's cache, as entries beside the zoo's, found without torch."""

from collections.abc import Iterator
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

from netgraft.errors import NetgraftError
from netgraft.models.fetch.cached import HUB, repository_of
from netgraft.models.naming import shown
from netgraft.models.sources.huggingface import config as hf_config
from netgraft.models.sources.huggingface.folder import WHOLE
from netgraft.models.sources.huggingface.names import NAME
from netgraft.models.untrusted import limits
from netgraft.models.zoo.entry import Entry
from netgraft.settings import hugging_face_cache

TASKS = {
    "ForImageClassification": "classification",
    "ForImageClassificationWithTeacher": "classification",
    "ForSemanticSegmentation": "segmentation",
    "ForVideoClassification": "video",
}
"""What the name of a class ends with, and the task that it is for."""
REVISION = "main"


def entries() -> list[Entry]:
    """An entry for each repository whose newest commit is here whole; what is damaged is not."""
    if find_spec("transformers") is None:
        return []
    return sorted(_found(), key=lambda entry: entry.name)


def _found() -> Iterator[Entry]:
    for repository in hugging_face_cache().glob("models--*"):
        try:
            commit = (repository / "refs" / REVISION).read_text().strip()
            if entry := _entry(repository, repository / "snapshots" / Path(commit).name):
                yield entry
        except (OSError, ValueError, TypeError, KeyError, NetgraftError):
            continue  # damaged, or of a kind that is not built


def _entry(repository: Path, snapshot: Path) -> Entry | None:
    name = repository_of(repository)
    config = hf_config.checked(_document(snapshot / hf_config.CONFIG, name), name)
    kinds = config.get("architectures") or [""]
    task = next((TASKS[end] for end in TASKS for kind in kinds if kind.endswith(end)), "")
    if not task:
        return None
    pictures = snapshot / hf_config.PICTURES
    said = _document(pictures, name) if pictures.exists() else {}
    return Entry(
        name=shown(NAME, name),
        source=NAME,
        task=task,
        params=_parameters(snapshot / WHOLE, name),
        accuracy=0.0,
        image_size=hf_config.picture(config, said, name)["side"],
        weights=(REVISION,),
        files=(f"{HUB}{name}",),
    )


def _document(file: Path, name: str) -> dict[str, Any]:
    with file.open("rb") as text:
        return hf_config.read(text.read(hf_config.LARGEST_TEXT + 1), file.name, name)


def _parameters(file: Path, name: str) -> int:
    """Elements of the weights; 0 where they lie in several files."""
    if not file.exists():
        return 0
    with file.open("rb") as weights:
        header = limits.safetensors_header(weights, name)
    return sum(prod(map(int, tensor["shape"])) for tensor in header.values())
