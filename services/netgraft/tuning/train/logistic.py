"""Multinomial logistic regression with an L2 penalty: many related problems solved at once.

A problem is a choice of pictures to learn from and a strength of regularisation. All problems
share the features, so an iteration of L-BFGS (Nocedal & Wright, section 7.2) is two products of
matrices whatever their number. In a basis in which the features are uncorrelated the curvature is
nearly diagonal, and by it the variables are scaled.

Shapes: N pictures, R features in that basis, with a last one that is 1 for the bias, P problems,
K classes (1 column of logits for two classes: that of the second, over the first).
"""

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

MEMORY = 8
"""Steps that the curvature is estimated from."""
MOST_STEPS = 500
SEARCHES = 12
"""Most evaluations along a direction."""
ENOUGH = 0.6
"""Share of the slope that may be left at the end of a search: a closer one costs more than it
saves."""


@dataclass(frozen=True)
class Problems:
    """The functions to be minimised: Σ weights · cross-entropy + ‖W‖² / 2C, for each problem."""

    z: Tensor
    """z_NR, whose columns are orthogonal except the last, which is 1."""
    labels: Tensor
    """labels_N, class indices."""
    classes: int
    weights: Tensor
    """weights_NP: 0 where a problem does not learn from a picture."""
    c: Tensor
    """c_P: the larger, the weaker the regularisation."""

    @property
    def columns(self) -> int:
        """Columns of logits for a problem."""
        return 1 if self.classes == 2 else self.classes


def solve(problems: Problems, start_RPK: Tensor, tolerance: float) -> Tensor:
    """The minimising w_RPK.

    A problem is solved when what is left to gain, by the scaled gradient, is `tolerance` nats for
    each picture. Same inputs and threads give the same bits.
    """
    return _Descent(problems, tolerance).run(start_RPK)


class _Descent:
    """L-BFGS in variables v = w · scale, in which the curvature is about 1 everywhere."""

    def __init__(self, problems: Problems, tolerance: float) -> None:
        p, z_NR = problems, problems.z
        self.z = z_NR
        self.weights = p.weights[:, :, None]
        self.binary = p.classes == 2
        # Two rows of a softmax that share a difference w are penalised by ‖w‖²/4C together.
        decay_P = 1 / (p.c * (2 if self.binary else 1))
        self.decay = decay_P.expand(z_NR.shape[1], -1).clone()[:, :, None]
        self.decay[-1] = 0
        likely = 1 / p.classes
        squares_RP = z_NR.square().T @ p.weights
        self.scale = (likely * (1 - likely) * squares_RP[:, :, None] + self.decay).sqrt()
        self.enough = 2 * tolerance * p.weights.sum(0)
        self.labels = p.labels
        if not self.binary:
            # A class that a problem has no picture of would be pushed to −∞.
            present_PK = torch.zeros(p.weights.shape[1], p.classes, dtype=z_NR.dtype)
            present_PK.index_add_(1, p.labels, p.weights.T)
            self.absent = torch.where(present_PK > 0, 0.0, -torch.inf).to(z_NR.dtype)

    def run(self, start_RPK: Tensor) -> Tensor:
        v = start_RPK * self.scale
        logits = self._times(v)
        slope_RPK = self._gradient(v, logits)
        steps: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=MEMORY)
        for _ in range(MOST_STEPS):
            left_P = _dot(slope_RPK, slope_RPK)
            busy_P = left_P > self.enough
            if not busy_P.any():
                break
            direction = _direction(slope_RPK, steps)
            along = self._times(direction)
            t_P = self._search(v, direction, logits, along, slope_RPK, busy_P) * busy_P
            step = direction * t_P[:, None]
            v, logits = v + step, logits + along * t_P[:, None]
            new = self._gradient(v, logits)
            change = new - slope_RPK
            steps.append((step, change, _dot(step, change)))
            slope_RPK = new
        return v / self.scale

    def _times(self, v_RPK: Tensor) -> Tensor:
        """Logits_NPK of v."""
        w_RM = (v_RPK / self.scale).flatten(1)
        return (self.z @ w_RM).reshape(-1, *v_RPK.shape[1:])

    def _gradient(self, v_RPK: Tensor, logits_NPK: Tensor) -> Tensor:
        residual_NM = self._residual(self._chances(logits_NPK)).flatten(1)
        w_slope = (self.z.T @ residual_NM).reshape(v_RPK.shape)
        slope: Tensor = w_slope / self.scale + self.decay / self.scale.square() * v_RPK
        return slope

    def _chances(self, logits_NPK: Tensor) -> Tensor:
        if self.binary:
            return logits_NPK.sigmoid()
        return (logits_NPK + self.absent).softmax(2)

    def _residual(self, chances_NPK: Tensor) -> Tensor:
        """∂cross-entropy/∂logits, weighted; overwrites the chances."""
        if self.binary:
            chances_NPK -= self.labels[:, None, None]
        else:
            rows = torch.arange(len(self.labels))
            chances_NPK[rows, :, self.labels] -= 1
        return chances_NPK.mul_(self.weights)

    def _search(
        self,
        v: Tensor,
        direction: Tensor,
        logits: Tensor,
        along: Tensor,
        slope: Tensor,
        busy_P: Tensor,
    ) -> Tensor:
        """Steps t_P along the direction at which little of the slope is left.

        The slope grows with t, as the objective is convex: its root is found by Newton's method,
        kept inside of the bracket known so far.
        """
        first_P = _dot(slope, direction)
        curved = self.decay / self.scale.square() * direction
        decay_P, decayed_P = _dot(curved, direction), _dot(curved, v)
        t = torch.ones_like(first_P)
        low, high = torch.zeros_like(t), torch.full_like(t, torch.inf)
        for _ in range(SEARCHES):
            chances = self._chances(logits + along * t[:, None])
            curvature = decay_P + self._curvature(chances, along)
            here = decayed_P + t * decay_P + _dot(self._residual(chances), along)
            open_P = busy_P & (here.abs() > ENOUGH * first_P.abs())
            if not open_P.any():
                break
            low, high = torch.where(here < 0, t, low), torch.where(here < 0, high, t)
            newton = t - here / curvature.clamp(min=1e-30)
            middle = torch.where(high.isinf(), 4 * t, (low + high) / 2)
            inside = (newton > low) & (newton < high) & (newton < 8 * t)
            t = torch.where(open_P, torch.where(inside, newton, middle), t)
        return t

    def _curvature(self, chances: Tensor, along: Tensor) -> Tensor:
        if self.binary:
            return _dot(chances * (1 - chances) * self.weights, along.square())
        mean = (chances * along).sum(2, keepdim=True)
        return _dot(chances * self.weights, (along - mean).square())


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of each problem's part."""
    return (a * b).sum((0, 2))


def _direction(slope: Tensor, steps: deque[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """−H · slope, with H estimated from the last steps (the two-loop recursion)."""
    q, factors = slope, []
    for step, change, curved in reversed(steps):
        factor = torch.where(curved > 0, _dot(step, q) / curved, 0)
        q = q - factor[:, None] * change
        factors.append(factor)
    if steps:
        _, change, curved = steps[-1]
        size = _dot(change, change)
        q = q * torch.where(curved > 0, curved / size, 1)[:, None]
    for (step, change, curved), factor in zip(steps, reversed(factors), strict=True):
        back = torch.where(curved > 0, _dot(change, q) / curved, 0)
        q = q + (factor - back)[:, None] * step
    return -q
