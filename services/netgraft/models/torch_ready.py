"""Wait until torch is fully imported, where several threads need it."""


def wait_for_torch() -> None:
    """Import what working on models needs, or wait for the thread that does.

    Torch's parts import each other, some when an operator is first called: two threads that
    began at two ends would meet half-made modules, and torch would stay broken.
    """
    import netgraft.models.torch_parts  # noqa: F401
