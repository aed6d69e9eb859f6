"""Probes of heavy libraries, in processes of their own: a broken library breaks only its process.

So the command line imports neither torch nor Ray, and tests both at the same time.
"""

import json
import subprocess
import sys
from typing import Any

SECONDS = 120

TORCH = """
import json, torch, torchvision
from torch import hub
out_NCHW = torch.nn.Conv2d(3, 4, 3)(torch.zeros(1, 3, 8, 8))
boxes_N4 = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
kept = torchvision.ops.nms(boxes_N4, torch.tensor([1.0]), 0.5)
cuda = torch.cuda
gpus = [cuda.get_device_name(i) for i in range(cuda.device_count())] if cuda.is_available() else []
print(json.dumps({
    "versions": f"torch {torch.__version__}, torchvision {torchvision.__version__}",
    "works": list(out_NCHW.shape) == [1, 4, 6, 6] and kept.tolist() == [0],
    "gpus": gpus,
    "hub": hub.get_dir(),
}))
"""
"""Runs a convolution and an operator of torchvision: with a CPU build of torch, PyPI's torchvision
can be imported, but fails with `torchvision::nms does not exist`."""

RAY = """
import json, ray, ray.serve, ray.train
print(json.dumps({"version": ray.__version__}))
"""


class Probe:
    """A process that imports and tests libraries; `result` waits for it."""

    def __init__(self, code: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # our own code, above
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def result(self) -> dict[str, Any]:
        """Return the JSON that the code printed, or {"error": …} with its last line on stderr."""
        try:
            printed, errors = self._process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return {"error": f"did not answer within {SECONDS} s"}
        if self._process.returncode == 0:
            return dict(json.loads(printed.splitlines()[-1]))
        lines = errors.strip().splitlines()
        return {"error": lines[-1] if lines else f"ended with {self._process.returncode}"}
