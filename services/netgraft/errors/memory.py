"""Whether an error means that memory ran out."""


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error says that memory could not be allocated, on a CPU or a GPU."""
    # Torch's own class is only for GPUs; its allocator for CPUs raises a plain RuntimeError.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    by_torch = isinstance(error, RuntimeError) and "allocate memory" in str(error)
    return by_torch or isinstance(error, MemoryError) or "OutOfMemoryError" in kinds
