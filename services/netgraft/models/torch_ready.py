"""Wait until torch is imported, whole, in a process where several threads want it."""


def wait_for_torch() -> None:
    """Import what working on models needs, or wait for the thread that does.

    Torch's parts import each other, some when an operator is first called: two threads that
    began at two ends would meet half-made modules, and torch would stay broken.
    """
    import netgraft.models.torch_parts  # noqa: F401
