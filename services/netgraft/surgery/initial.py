"""How new heads start: the same for the same edit of the same model, and nothing is stored."""

import hashlib
import math
from collections.abc import Container

from netgraft.anatomy.roles import Head
from netgraft.models.drawn import Draw, DrawnTensor
from netgraft.models.edits.retarget import Retarget
from netgraft.models.recipe import Recipe
from netgraft.surgery.trial import Blank, Trial

PRIOR_BIAS = -4.59511985013459
"""-ln((1 - π) / π) for π = 0.01: how likely a class is before training, for sigmoid detectors
(Lin et al. 2017, 4.1). Written out because logarithms differ between machines in their last bit."""
PRIOR_STD = 0.01
SEED_DIGITS = 32


def draw_heads(trial: Trial, edit: Retarget, parent: Recipe, without: Container[str]) -> Draw:
    """The draw of the edited model's heads, except the tensors in `without`.

    With `init` "zeros" they are 0. Else their values are spread as those that
    `reset_parameters` of nn.Linear and nn.Conv2d draws: ±1/√fan_in. The seed follows from the
    parent and the classes.
    """
    seen = trial.anatomy.trace
    tensors = tuple(
        _start(blank, head, trial, edit)
        for head in seen.heads
        if head.classes
        for blank in trial.blanks
        if blank.path == head.path and blank.full_name not in without
    )
    return Draw(seed(parent, "retarget", edit.classes), tensors)


def seed(parent: Recipe, *edit: object) -> str:
    """The seed of what an edit of a recipe draws."""
    text = " ".join((parent.id, *map(str, edit)))
    return hashlib.sha256(text.encode()).hexdigest()[:SEED_DIGITS]


def uniform(name: str, shape: tuple[int, ...], dtype: str, fan_in: int) -> DrawnTensor:
    """As `kaiming_uniform_` with a=√5 starts a weight, and nn.Linear and nn.Conv2d a bias."""
    return DrawnTensor(name, shape, dtype, "uniform", 1 / math.sqrt(fan_in))


def constant(name: str, shape: tuple[int, ...], dtype: str, value: float = 0.0) -> DrawnTensor:
    return DrawnTensor(name, shape, dtype, "constant", value)


def _start(blank: Blank, head: Head, trial: Trial, edit: Retarget) -> DrawnTensor:
    name, shape, dtype = blank.full_name, blank.shape, blank.dtype
    if edit.init == "zeros":
        return constant(name, shape, dtype)
    rare = trial.anatomy.trace.detector and head.role == "main" and head.activation == "sigmoid"
    if not rare:
        return uniform(name, shape, dtype, _fan_in(trial, head))
    # As RetinaNet and FCOS start: else the loss of the many empty places drowns all. Where
    # they draw from a normal distribution, this is the uniform one of the same deviation.
    if len(shape) > 1:
        return DrawnTensor(name, shape, dtype, "uniform", PRIOR_STD * math.sqrt(3))
    return constant(name, shape, dtype, PRIOR_BIAS)


def _fan_in(trial: Trial, head: Head) -> int:
    weights = (b for b in trial.blanks if b.path == head.path and b.name == "weight")
    return next(weights).fan_in
