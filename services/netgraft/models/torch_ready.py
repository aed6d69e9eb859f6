"""Wait until torch is fully imported, where several threads need it; or keep it out."""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


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
    """Finds what is kept out, so that one can ask whether it is installed, and does not load it."""

    KEPT_OUT = frozenset({"torch", "torchvision", "timm", "sympy", "transformers", "keras", "peft"})

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname, path) if fullname in self.KEPT_OUT else None
        if found:
            found.loader = _Refusal()
        return found


class _Refusal(Loader):
    def create_module(self, spec: ModuleSpec) -> None:
        raise NeedsTorch(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        raise NeedsTorch(module.__name__)
