"""Names and shapes of tensors, in the spellings that files have for them. Knows no torch."""

from collections.abc import Iterable, Iterator, Mapping

Shapes = Mapping[str, tuple[int, ...]]

UNCOUNTED = "num_batches_tracked"
"""A buffer that old state dicts lack."""
DEEPEST_PREFIX = 3
"""Prefixes before each other that are taken off all names."""


def counted(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    """Shapes by name, without the buffers that old state dicts lack."""
    return {key: tuple(shape) for key, shape in shapes if not key.endswith(UNCOUNTED)}


def spellings(tensors: Shapes) -> Iterator[dict[str, tuple[int, ...]]]:
    """The names as they are, and without the prefixes that wrappers put before all of them.

    DataParallel writes "module.", torch.compile "_orig_mod.", training scripts "model.".
    """
    found = dict(tensors)
    for _ in range(DEEPEST_PREFIX + 1):
        yield found
        firsts = {key.partition(".")[0] for key in found}
        if len(firsts) != 1 or not all("." in key for key in found):
            return
        found = {key.partition(".")[2]: value for key, value in found.items()}
