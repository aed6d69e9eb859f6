"""pyarrow in a rank finds no pandas, and does without."""

import importlib
import importlib.util
import sys

import pytest

from netgraft.app.preloaded import PRELOADED
from netgraft.tuning.data.arrow import keep_pandas_out


def test_pandas_is_not_there_and_everything_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "pandas"]:
        monkeypatch.delitem(sys.modules, name)
    before = len(sys.meta_path)
    for _ in range(2):
        keep_pandas_out()
    assert len(sys.meta_path) == before + 1
    with pytest.raises(ModuleNotFoundError, match="pandas"):
        importlib.import_module("pandas")
    assert importlib.util.find_spec("pandas")  # one may ask, as torch._dynamo does when it starts
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    assert importlib.import_module("colorsys")


@pytest.mark.parametrize("name", PRELOADED)
def test_what_the_fork_server_imports_exists(name: str) -> None:
    """A module that cannot be imported is passed over there, and each fork imports the rest."""
    assert importlib.import_module(name)
