"""Wait until torch is fully imported, where several threads need it; or keep it out."""

import sys
from importlib.abc import MetaPathFinder


def wait_for_torch() -> None:
    """Import what working on models needs, or wait for the thread that does.

    Torch's parts import each other, some when an operator is first called: two threads that
    began at two ends would meet half-made modules, and torch would stay broken.
    """
    import netgraft.models.torch_parts  # noqa: F401


class NeedsTorch(Exception):
    """Raised where torch would be imported in a process that keeps it out."""


def keep_torch_out() -> None:
    """From now on let this process raise NeedsTorch where torch, or what brings it, is imported.

    No ImportError: code that does without torch where there is none must not do so here.
    """
    sys.meta_path.insert(0, _Barrier())


class _Barrier(MetaPathFinder):
    KEPT_OUT = frozenset({"torch", "torchvision", "timm", "sympy", "transformers", "keras", "peft"})

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname in self.KEPT_OUT:
            raise NeedsTorch(fullname)
