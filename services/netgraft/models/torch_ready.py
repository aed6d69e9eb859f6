"""Wait until torch is fully imported, where several threads need it; or keep it out."""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import NoReturn


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
    """Finds packages as ever, so that one can ask whether they are installed, and loads none."""

    KEPT_OUT = frozenset({"torch", "torchvision", "timm", "sympy", "transformers", "keras", "peft"})

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        if fullname not in self.KEPT_OUT or not (found := PathFinder.find_spec(fullname)):
            return None
        return ModuleSpec(fullname, _Refusing(), origin=found.origin)


class _Refusing(Loader):
    def create_module(self, spec: ModuleSpec) -> NoReturn:
        raise NeedsTorch(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Never reached: there is no module."""
