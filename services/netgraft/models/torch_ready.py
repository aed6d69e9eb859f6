"""Wait until torch is fully imported, where several threads need it; or keep it out."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType


def wait_for_torch() -> None:
    """Import what working on models needs, or wait for the thread that does.

    Torch's parts import each other, some when an operator is first called: two threads that
    began at two ends would meet half-made modules, and torch would stay broken.
    """
    import netgraft.models.torch_parts  # noqa: F401


class NeedsTorch(Exception):
    """Raised where torch would be imported in a process that keeps it out."""


def keep_torch_out(modules: Iterable[str] = ()) -> None:
    """From now on let this process raise NeedsTorch where torch, or what brings it, is imported.

    No ImportError: code that does without torch where there is none must not do so here. Which of
    our own modules bring it is learned as they are imported, and at once of `modules`.
    """
    sys.meta_path.insert(0, _Barrier())
    for module in modules:
        with suppress(NeedsTorch):
            import_module(module)


def met_a_half(error: ImportError) -> bool:
    """Return whether a module lacks a name because torch, which it needs, is kept out.

    It is what a thread sees that waited while another one tried to import the module.
    """
    return any(isinstance(each, _Barrier) and error.name in each.kept_out for each in sys.meta_path)


class _Barrier(MetaPathFinder):
    """Finds what is kept out, so that one can ask whether it is installed, and does not load it."""

    def __init__(self) -> None:
        self.kept_out = {"torch", "torchvision", "timm", "sympy", "transformers", "keras", "peft"}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname, path) if fullname in self.kept_out else None
        if found:
            found.loader = _Refusal(self)
        return found

    def learn(self, frame: FrameType | None) -> None:
        """Keep out, too, the modules of ours whose import has led to a frame.

        Trying again would import again, each time, all that they need before torch.
        """
        while frame:
            name = str(frame.f_globals.get("__name__"))
            if frame.f_code.co_name == "<module>" and name.startswith("netgraft."):
                self.kept_out.add(name)
            frame = frame.f_back


class _Refusal(Loader):
    def __init__(self, barrier: _Barrier) -> None:
        self.barrier = barrier

    def create_module(self, spec: ModuleSpec) -> None:
        self.barrier.learn(sys._getframe())
        raise NeedsTorch(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Never called: no module is made."""
