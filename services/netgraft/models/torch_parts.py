"""The parts of torch that tracing and symbolic shapes use, in one import.

See `torch_ready`: what imports this module first does so under its lock.
"""

import sympy  # noqa: F401
import torch._dynamo.source
import torch._subclasses.fake_tensor
import torch.func
import torch.fx.experimental.symbolic_shapes
import torch.overrides  # noqa: F401

import netgraft.models.build  # noqa: F401
