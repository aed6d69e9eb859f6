"""Out of memory, by whatever name, and what a step can do about it. Knows no job."""

import torch

SAID = ("can't allocate memory", "not enough memory", "out of memory")
"""In the messages of torch's allocators, which raise a plain RuntimeError on CPUs."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there is not enough memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(each in str(error) for each in SAID)


def more_parts(parts: int, pictures: int, least: int) -> int | None:
    """Twice as many parts of a batch; None where a part would have fewer than `least` pictures."""
    return 2 * parts if pictures // (2 * parts) >= least else None
