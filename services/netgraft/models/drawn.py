"""The draw: initial values of new layers, given by a formula, so that nobody has to store them.

A recipe says of each new tensor how it starts (`DrawnTensor`), and which seed and which version
of the formula its values follow from (`Draw`). They are computed when something needs them, the
same to the bit on every machine, and any part of them without the rest.

Version 1. The values of a tensor are a stream of signed 24-bit integers, each times one float32
constant, then cast to the tensor's dtype. The integers are the upper three bytes of each 32-bit
half, the lower half first, of the 64-bit words of Philox4x64-10 (Salmon et al. 2011, as numpy
has it), whose key is the first 16 bytes of SHA-256 of the seed, a zero byte and the tensor's
name, little-endian. Neither torch's distributions nor numpy's take part: torch's differ between
kinds of processors. Knows nothing of torch.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from netgraft.errors import NewerVersion, TooLarge
from netgraft.language import Message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1
COPIES = 2
"""How many times a new layer must fit into free memory: once for itself, once for all else."""
CHUNK = 2**20
"""Values that are computed at a time."""
PER_BLOCK = 8
"""Values that one step of Philox's counter gives: four words of two."""
FULL_SCALE = 2.0**-23
"""The factor that makes a signed 24-bit integer a number from -1 to below 1."""

Init = Literal["uniform", "constant"]


@dataclass(frozen=True)
class DrawnTensor:
    """One tensor of a new layer, and how it starts."""

    name: str
    """Its name in the edited model, such as "fc.weight"."""
    shape: tuple[int, ...]
    dtype: str
    """Name in torch, such as "float32"."""
    init: Init
    value: float
    """ "uniform": values lie between -value and value. "constant": each is the value."""
    zero_rows: tuple[int, ...] = ()
    """Rows that are 0 nevertheless, such as the padding of an embedding."""

    @property
    def numel(self) -> int:
        """The number of its values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its values; the names of torch's dtypes hold how many bits each has."""
        bits = re.search(r"\d+", self.dtype)
        return self.numel * (int(bits[0]) // 8 if bits else 1)

    @property
    def row(self) -> int:
        """The number of values in one row, an index of the first dimension."""
        return math.prod(self.shape[1:])


@dataclass(frozen=True)
class Draw:
    """Tensors that follow from a seed."""

    seed: str
    """Any text; another text gives other values."""
    tensors: tuple[DrawnTensor, ...]
    version: int = VERSION
    """Of the formula."""

    @property
    def names(self) -> frozenset[str]:
        return frozenset(tensor.name for tensor in self.tensors)


def must_fit(tensors: Iterable[DrawnTensor]) -> None:
    """Raise TooLarge when new tensors do not fit into memory."""
    import psutil

    size = sum(tensor.nbytes for tensor in tensors)
    free = psutil.virtual_memory().available // COPIES
    if size > free:
        what = Message("A new layer of {gigabytes:.1f} GB", gigabytes=size / 1e9)
        limit = Message("{gigabytes:.1f} GB fit into memory now", gigabytes=free / 1e9)
        raise TooLarge(what=what, limit=limit)


def values(draw: Draw, tensor: DrawnTensor, first: int = 0) -> "Iterator[NDArray[np.float32]]":
    """The values of a tensor from place `first` on, row by row, in float32 chunks.

    Raises NewerVersion where a later netgraft drew.
    """
    if draw.version != VERSION:
        raise NewerVersion(version=draw.version)
    stream = _Uniform(draw.seed, tensor, first) if tensor.init == "uniform" else None
    start = first
    while start < tensor.numel:
        # Each chunk but the last ends where a block of the stream does.
        count = min(CHUNK - start % CHUNK, tensor.numel - start)
        chunk = stream.take(count) if stream else _constant(tensor.value, count)
        _clear(chunk, tensor, start)
        yield chunk
        start += count


class _Uniform:
    """A tensor's stream of values between -value and value."""

    def __init__(self, seed: str, tensor: DrawnTensor, first: int) -> None:
        import numpy as np

        digest = hashlib.sha256(f"{seed}\0{tensor.name}".encode()).digest()
        self._philox = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
        self._philox.advance(first // PER_BLOCK)
        self._constant = np.float32(tensor.value) * np.float32(FULL_SCALE)
        self._skip = first % PER_BLOCK

    def take(self, count: int) -> "NDArray[np.float32]":
        """The next values. Each call but the last must end where a block does."""
        import numpy as np

        words = self._philox.random_raw((self._skip + count + 1) // 2).astype("<u8", copy=False)
        integers = words.view("<i4")[self._skip : self._skip + count] >> 8
        self._skip = 0
        drawn: NDArray[np.float32] = integers.astype(np.float32)
        drawn *= self._constant
        return drawn


def _constant(value: float, count: int) -> "NDArray[np.float32]":
    import numpy as np

    return np.full(count, value, dtype=np.float32)


def _clear(chunk: "NDArray[np.float32]", tensor: DrawnTensor, start: int) -> None:
    """Put 0 into the zero rows of a chunk that starts at place `start`."""
    for row in tensor.zero_rows:
        begin = row * tensor.row - start
        chunk[max(0, begin) : max(0, begin + tensor.row)] = 0
