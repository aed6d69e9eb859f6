"""Named tensors in a folder of files: safetensors, named by the SHA-256 of their bytes.

Torch is imported only where tensors are read or written.
"""

import hashlib
import tempfile
from collections.abc import Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from netgraft.errors import DiskFull
from netgraft.errors.disk import says_full
from netgraft.store.folder import Folder

if TYPE_CHECKING:
    from torch import Tensor

KIND = "tensors"


class TensorFolder(Folder):
    """Files by kind and name, and tensors by hash. A set of named tensors is called a delta."""

    def put_tensors(self, tensors: Mapping[str, "Tensor"]) -> str:
        """Store named tensors as one safetensors file; returns its SHA-256. Raises DiskFull."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        values = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        # Through a file: bytes in memory would cost as much again as the tensors.
        with self._writing_to(self._path(KIND, "")), self._scratch() as folder:
            file = Path(folder) / "tensors"
            try:
                save_file(values, file)
            except SafetensorError as error:
                if says_full(error):
                    raise DiskFull(folder=self.folder) from error
                raise
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            self._move_in(KIND, _name(digest), file)
        return digest

    def _scratch(self) -> tempfile.TemporaryDirectory[str]:
        """A local folder for files in the making; on the store's own disk where it has one."""
        return tempfile.TemporaryDirectory(dir=self.root if self._local else None)

    def get_tensors(self, digest: str) -> dict[str, "Tensor"]:
        """The tensors of a delta, on the CPU. Raises FileNotFoundError."""
        from safetensors.torch import load

        return load(self.read(KIND, _name(digest)))

    def get_some_tensors(self, digest: str, names: Container[str]) -> dict[str, "Tensor"]:
        """Those tensors of a delta that are named in `names`; only they are read.

        Raises FileNotFoundError.
        """
        from safetensors.torch import load

        from netgraft.store.excerpt import excerpt

        with self.open(KIND, _name(digest)) as stream:
            return load(excerpt(stream, names))

    def tensor_shapes(self, digest: str) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor of a delta; its header alone is read.

        Raises FileNotFoundError.
        """
        from netgraft.store.excerpt import shapes

        with self.open(KIND, _name(digest)) as stream:
            return shapes(stream)

    def tensors_size(self, digest: str) -> int:
        """Bytes that a delta takes in the store."""
        return self.size(KIND, _name(digest))


def _name(digest: str) -> str:
    return f"{digest}.safetensors"
