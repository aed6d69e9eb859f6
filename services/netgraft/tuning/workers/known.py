"""Features of a frozen network that an earlier attempt or job has computed, kept in the store.

The same network, pictures, form, threads and ranks on the same kind of processor give the same
bits, so whoever finds them here ends with the numbers that it would have computed.

Shapes: N pictures, F features.
"""

import hashlib
import json
from dataclasses import dataclass

import torch
from torch import Tensor

from netgraft.settings import settings
from netgraft.store.memo import Memo
from netgraft.store.store import Store

KIND = "features"
FORMAT = "1"
MOST_SHARE = 0.5
"""The largest share of what may be kept that one set of features takes."""


@dataclass(frozen=True)
class Known:
    """Features, and how they were made."""

    path: str
    """Of the head whose input they are."""
    form: str
    """How the frozen network was run."""
    features: Tensor
    """features_NF."""


@dataclass(frozen=True)
class KnownFeatures:
    """The features of one network on some pictures of a data set."""

    store: Store
    recipe: str
    """Id of the network's recipe."""
    data_hash: str
    """Of the contents of all pictures."""

    def find(self, path: str, form: str, *where: object) -> Known | None:
        """The features of a head's input; `form` is "" where any will do.

        `where`: all else that the numbers depend on, such as which pictures, and the batches.
        """
        key = self._key(path, form, *where)
        if not form:
            text = self.store.get_file(KIND, _pointer(key))
            if text is None:
                return None
            key = self._key(path, text.decode(), *where)
        found = FEATURES.find(self.store, key)
        if found is not None:
            self.store.touch(KIND, FEATURES.file_name(key))
        return found

    def keep(self, known: Known, asked: str, *where: object) -> None:
        """Keep features that were asked for in the form `asked`, as `find` has it.

        The oldest of others go for it. Raises DiskFull.
        """
        most = settings().features_mib * 2**20
        if known.features.nbytes > MOST_SHARE * most:
            return
        FEATURES.put(self.store, self._key(known.path, known.form, *where), known)
        if not asked:
            key = self._key(known.path, "", *where)
            self.store.replace_file(KIND, _pointer(key), known.form.encode())
        self.store.trim(KIND, most)

    def _key(self, path: str, form: str, *where: object) -> str:
        said = (self.recipe, self.data_hash, path, form, _machine(), where)
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _pointer(key: str) -> str:
    """Name of the file that says in which form features are kept, for those who ask for any."""
    return f"{key}.{FORMAT}.form"


def _machine() -> tuple[str, ...]:
    """Return what the bits of a forward pass depend on beside its input."""
    units = [name for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
             if getattr(torch.cpu, name, bool)()]  # fmt: skip
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return (torch.__version__, torch.backends.cpu.get_cpu_capability(), *units, card)


def _to_bytes(known: Known) -> bytes:
    from safetensors.torch import save

    said = {"path": known.path, "form": known.form}
    return save({"features": known.features.contiguous()}, said)


def _from_bytes(data: bytes) -> Known:
    from safetensors.torch import load

    size = int.from_bytes(data[:8], "little")
    said = json.loads(data[8 : 8 + size])["__metadata__"]
    return Known(said["path"], said["form"], load(data)["features"])


FEATURES = Memo(KIND, "safetensors", FORMAT, _to_bytes, _from_bytes, in_memory=0)
