"""Initial values of new heads, the same for the same edit of the same model."""

import hashlib
import math
from collections.abc import Sequence

import psutil
import torch
from torch import Tensor, nn

from netgraft.errors import TooLarge
from netgraft.models.recipe import Recipe, Retarget
from netgraft.surgery.trial import Trial

PRIOR = 0.01
"""How likely a class is before training, for sigmoid detectors (Lin et al. 2017, 4.1)."""
PRIOR_STD = 0.01
COPIES = 2
"""Times a new head that must be free: itself, and as much again for what else goes on."""


def new_tensors(trial: Trial, edit: Retarget, parent: Recipe) -> dict[str, Tensor]:
    """Values of the edited model's heads by parameter name. Raises TooLarge.

    With `init` "zeros" they are 0. Else they are what `reset_parameters` of nn.Linear and
    nn.Conv2d draws, but from a generator of their own, seeded by the parent, the classes
    and the path.
    """
    seen = trial.anatomy.trace
    must_fit([blank.meta() for blank in trial.blanks])
    tensors: dict[str, Tensor] = {}
    for head in [head for head in seen.heads if head.classes]:
        generator = torch.Generator().manual_seed(_seed(parent, edit.classes, head.path))
        rare = seen.detector and head.role == "main" and head.activation == "sigmoid"
        draw = _zeros if edit.init == "zeros" else _init_rare if rare else _init
        blanks = [blank for blank in trial.blanks if blank.path == head.path]
        fan_in = next(blank.fan_in for blank in blanks if blank.name == "weight")
        for blank in blanks:
            value = torch.empty(blank.shape, dtype=torch.float32)
            draw(value, fan_in, generator)
            tensors[blank.full_name] = value.to(blank.torch_dtype)
    return tensors


def _zeros(value: Tensor, _fan_in: int, _generator: torch.Generator) -> None:
    nn.init.zeros_(value)


def _init(value: Tensor, fan_in: int, generator: torch.Generator) -> None:
    if value.dim() > 1:
        nn.init.kaiming_uniform_(value, a=math.sqrt(5), generator=generator)
        return
    bound = 1 / math.sqrt(fan_in)
    nn.init.uniform_(value, -bound, bound, generator=generator)


def _init_rare(value: Tensor, _fan_in: int, generator: torch.Generator) -> None:
    """As RetinaNet and FCOS start: else the loss of the many empty places drowns all."""
    if value.dim() > 1:
        nn.init.normal_(value, std=PRIOR_STD, generator=generator)
    else:
        nn.init.constant_(value, -math.log((1 - PRIOR) / PRIOR))


def _seed(parent: Recipe, classes: int, path: str) -> int:
    digest = hashlib.sha256(f"{parent.id} {classes} {path}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # Generator takes 63 bits


def must_fit(parameters: Sequence[Tensor]) -> None:
    """Raise TooLarge when new tensors of these sizes do not fit into memory."""
    size = sum(p.numel() * p.element_size() for p in parameters)
    room = psutil.virtual_memory().available // COPIES
    if size > room:
        what = f"A new layer of {size / 1e9:.1f} GB"
        raise TooLarge(what=what, limit=f"{room / 1e9:.1f} GB fit into memory now")
