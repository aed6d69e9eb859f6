"""A process that keeps torch out: what may be asked there, and what is stopped."""

import subprocess
import sys

KEEPING_OUT = """
import importlib.util
import sys
from netgraft.models.torch_ready import NeedsTorch, keep_torch_out

keep_torch_out()
assert importlib.util.find_spec("keras") is not None
assert importlib.util.find_spec("torchaudio_that_is_not_there") is None
for name in ("torch", "timm", "netgraft.models.torch_parts"):
    try:
        __import__(name)
    except NeedsTorch:
        continue
    raise AssertionError(name)
assert not {"torch", "timm", "keras"} & set(sys.modules)
"""


def test_torch_is_kept_out_and_what_is_installed_may_be_asked() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KEEPING_OUT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
