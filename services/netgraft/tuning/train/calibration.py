"""How good predictions are, how sure that is, and how sure the predictions should be.

Shapes: N pictures, K classes, S sets of predictions.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

HIGHEST = 20.0
"""Temperatures from 1/HIGHEST to HIGHEST: where all is right, none would be low enough."""
Z = 1.959963984540054
"""Standard deviations on either side that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Interval:
    """A share and the 95 % interval around it."""

    value: float
    low: float
    high: float


def wilson(right: float, of: float) -> tuple[float, float]:
    """The 95 % interval of a share, of which `right` of `of` were counted (Wilson 1927)."""
    if not of:
        return 0.0, 1.0
    share = right / of
    middle = (share + Z * Z / (2 * of)) / (1 + Z * Z / of)
    half = Z / (1 + Z * Z / of) * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    low = 0.0 if right == 0 else max(0.0, middle - half)
    high = 1.0 if right == of else min(1.0, middle + half)
    return low, high


def sign_test(lost: int, won: int) -> float:
    """The probability of so many losses or more among the changes, if both were as likely."""
    changes = lost + won
    ways = sum(math.comb(changes, k) for k in range(lost, changes + 1))
    return float(ways / 2**changes)


def score(predicted_NS: Tensor, labels_N: Tensor, classes: int, criterion: str) -> Tensor:
    """The mean "accuracy", "balanced_accuracy" or "macro_f1" of sets of predictions."""
    right_NS = predicted_NS == labels_N[:, None]
    if criterion == "accuracy":
        return right_NS.double().mean()
    counts_K = torch.bincount(labels_N, minlength=classes).double()
    hits_KS = counts_K.new_zeros(classes, predicted_NS.shape[1])
    hits_KS.index_add_(0, labels_N, right_NS.double())
    there = counts_K > 0
    if criterion == "balanced_accuracy":
        return (hits_KS[there] / counts_K[there, None]).mean()
    named_KS = F.one_hot(predicted_NS, classes).sum(0).T.double()
    return (2 * hits_KS / (named_KS + counts_K[:, None]).clamp(min=1))[there].mean()


def fit_temperature(logits_NK: Tensor, labels_N: Tensor) -> float:
    """The temperature under which the labels are most likely (Guo et al. 2017).

    The log-likelihood is concave in 1/T, so that bisection of its slope finds it.
    """
    if not len(labels_N):
        return 1.0
    logits_NK = logits_NK.double()
    own_N = logits_NK.gather(1, labels_N[:, None])[:, 0]

    def slope(inverse: float) -> float:
        expected_N = ((logits_NK * inverse).softmax(1) * logits_NK).sum(1)
        return float((own_N - expected_N).mean())

    low, high = 1 / HIGHEST, HIGHEST
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return 1 / math.sqrt(low * high)
