"""Which pretrained weights are on this machine, found without torch.

The libraries keep them in `$TORCH_HOME/hub/checkpoints` and in the Hugging Face cache; the
catalogue says under which name. Looks at folders, never into a file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netgraft.settings import hugging_face_cache, torch_checkpoints

if TYPE_CHECKING:
    from netgraft.models.zoo.entry import Entry

HUB = "hf:"
"""Before the name of a repository of the Hugging Face hub."""
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""Files that timm looks for in a repository of the hub."""


@dataclass(frozen=True)
class Present:
    """Names of weights' files that are here, as the catalogue spells them."""

    files: frozenset[str]

    def weights_of(self, entry: "Entry") -> tuple[str, ...]:
        """Those of an entry's weights that are here, the default first."""
        pairs = zip(entry.weights, entry.files, strict=bool(entry.files))
        return tuple(name for name, file in pairs if file in self.files)


def holds(file: str) -> bool:
    """True if one file of weights is here, as the catalogue spells it and the libraries look."""
    if not file.startswith(HUB):
        return bool(file) and (torch_checkpoints() / file).is_file()
    folder = hugging_face_cache() / f"models--{file.removeprefix(HUB).replace('/', '--')}"
    main = folder / "refs" / "main"
    revision = main.read_text().strip() if main.is_file() else "main"
    return any((folder / "snapshots" / revision / name).is_file() for name in HUB_FILES)


def present() -> Present:
    """The weights that are on this machine now."""
    return Present(frozenset((*_checkpoints(), *_repositories())))


def _checkpoints() -> list[str]:
    folder = torch_checkpoints()
    return [file.name for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []


def _repositories() -> list[str]:
    found = hugging_face_cache().glob("models--*/snapshots/*/*")
    files = (file for file in found if file.name in HUB_FILES and file.exists())
    return [HUB + repository_of(file.parents[2]) for file in files]


def repository_of(folder: Path) -> str:
    """The repository that a folder of the hub's cache is of: models--ORG--NAME → ORG/NAME."""
    return folder.name.removeprefix("models--").replace("--", "/", 1)
