"""pyarrow without pandas, which it looks for when it makes its first array.

It only asks whether a value is one of pandas'. The import takes half a second, in each rank again.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def keep_pandas_out() -> None:
    """From now on let this process import no pandas; for processes that run only our own code."""
    if not any(isinstance(finder, _NoPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NoPandas())


class _NoPandas(MetaPathFinder, Loader):
    """Finds a pandas that cannot be imported; torch asks whether there is one, and goes on."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname == "pandas" else None

    def exec_module(self, module: ModuleType) -> None:
        raise ModuleNotFoundError("pandas is kept out", name=module.__name__)
