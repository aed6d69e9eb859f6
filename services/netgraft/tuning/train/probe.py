"""A linear head on frozen features, trained to convergence in seconds.

The strength of regularisation is the one with the best cross-validated score, the strongest where
several are equal: by log-loss one gets overconfident heads that err more often (mobilenet_v2 on
245 photographs: .95 on the others by log-loss, .96 to .97 by accuracy). The head is then trained
on all pictures, and one temperature makes its confidence match the out-of-fold logits.

Shapes: N pictures, F features, K classes, S rounds of cross-validation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from netgraft.tuning.train.calibration import Interval, fit_temperature, score, sign_test, wilson
from netgraft.tuning.train.logistic import Problems, solve
from netgraft.tuning.train.space import Space

Criterion = Literal["accuracy", "balanced_accuracy", "macro_f1"]

STRENGTHS = 25
"""Values of C that are compared, from 10⁻³ to 10³, for logits of that variance."""
SMALL = 5_000
"""Pictures × columns of logits up to which all rounds are used."""
TOGETHER = 100_000
"""Logits of the problems that are solved together while C is chosen. Below, more problems cost
little more time; above, it is better to start each C from the heads of the one before."""
FEW, MANY = (1e-5, 1e-6, 1e-15), (1e-4, 1e-5, 1e-8)
"""Nats a picture that may be left to gain, up to SMALL and above it: while C is chosen; out of
fold; in the head itself."""
LARGEST = 60_000
"""Pictures × columns of logits on which C is chosen at most; of more, a sample."""
MOST_CLASSES = 40
"""Classes among which C is chosen at most; of more, a sample."""
NUMBERS = 40_000_000
"""Logits that are in memory at once, about."""
FAR = 10.0
"""How far a class that was not seen stays below the least likely of the others, in logits."""
MOST_LOST = 0.02
"""Share of pictures that mirroring may cost before it is said to hurt."""


@dataclass(frozen=True)
class Probed:
    """A head, and what cross-validation says of it."""

    weight: Tensor
    """weight_KF, for features as they are."""
    bias: Tensor
    """bias_K."""
    c: float
    criterion: Criterion
    score: float
    """The criterion, out of fold. C was chosen by it, so it flatters a little."""
    accuracy: Interval
    """Out of fold, with its 95 % interval."""
    logits: Tensor
    """logits_NK, each from a head that had not seen the picture."""
    temperature: float
    """Logits are divided by it before softmax."""
    scores: tuple[tuple[float, float], ...]
    """Each C that was tried and its cross-validated score."""
    chosen_on: tuple[int, int]
    """Pictures and classes on which C was chosen: fewer than there are where there are many."""


def probe(
    features_NF: Tensor, labels_N: Tensor, classes: int, folds_NS: Tensor, criterion: Criterion
) -> Probed:
    """Train a head on features.

    `folds_NS` numbers the fold of each picture from 0, in one or several rounds; of few
    pictures all rounds are used, of many the first. Pictures that belong together belong in one
    fold. Raises ValueError where there are fewer than two classes, or features are not finite.
    """
    _must_be_sound(features_NF, labels_N)
    space = Space(features_NF)
    z_NR, labels_N, folds_NS = space.z, labels_N.cpu(), folds_NS.cpu()
    chosen_N, kept_K = _sample(labels_N, classes)
    renumbered_K = torch.zeros(classes, dtype=torch.long)
    renumbered_K[kept_K] = torch.arange(len(kept_K))
    task = _Task(z_NR[chosen_N], renumbered_K[labels_N[chosen_N]], len(kept_K), criterion)
    strengths = torch.logspace(-3, 3, STRENGTHS, dtype=z_NR.dtype) / features_NF.shape[1]
    choice = task.choose(strengths, folds_NS[chosen_N])
    c = strengths[choice.best]
    whole = _Task(z_NR, labels_N, classes, criterion)
    start = choice.heads if len(chosen_N) == len(labels_N) else None
    heads_RPK = whole.of_folds(c, folds_NS[:, 0], start)
    seen_NK = whole.seen(folds_NS[:, 0])
    logits_NK = whole.out_of_fold(heads_RPK, folds_NS[:, 0], seen_NK)
    fair_N = seen_NK.gather(1, labels_N[:, None])[:, 0]
    w_RPK = whole.on_all(c, heads_RPK.mean(1, keepdim=True))
    weight_KF, bias_K = space.head(whole.rows(w_RPK[:, 0]))
    right = int((logits_NK.argmax(1) == labels_N).sum())
    return Probed(
        weight_KF,
        _lowered(bias_K, torch.bincount(labels_N, minlength=classes)),
        float(c),
        criterion,
        float(score(logits_NK.argmax(1)[:, None], labels_N, classes, criterion)),
        Interval(right / len(labels_N), *wilson(right, len(labels_N))),
        logits_NK.float(),
        fit_temperature(logits_NK[fair_N], labels_N[fair_N]),
        tuple(zip(strengths.tolist(), choice.scores, strict=True)),
        (len(chosen_N), len(kept_K)),
    )


def mirror_hurts(
    features_NF: Tensor, mirrored_MF: Tensor, indices_M: Tensor, labels_N: Tensor,
    folds_N: Tensor, probed: Probed,
) -> bool:  # fmt: skip
    """Return whether mirrored pictures are mistaken more often than the same pictures as they are.

    `mirrored_MF` holds the features of some of the pictures, `indices_M`, mirrored. Each is judged
    by a head that has seen neither; the loss counts if it is more than chance and `MOST_LOST`.
    """
    space, labels_N, folds_N = Space(features_NF), labels_N.cpu(), folds_N.cpu()
    whole = _Task(space.z, labels_N, len(probed.bias), "accuracy")
    c = torch.tensor(probed.c, dtype=space.z.dtype)
    heads_RPK = whole.of_folds(c, folds_N)
    labels_M, folds_M = labels_N[indices_M], folds_N[indices_M]
    mirrored = _Task(space.placed(mirrored_MF), labels_M, whole.classes, "accuracy")
    seen_NK = whole.seen(folds_N)
    before = whole.out_of_fold(heads_RPK, folds_N, seen_NK)[indices_M].argmax(1) == labels_M
    after = mirrored.out_of_fold(heads_RPK, folds_M, seen_NK[indices_M]).argmax(1) == labels_M
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    return lost - won > MOST_LOST * len(labels_M) and sign_test(lost, won) < 0.05


@dataclass(frozen=True)
class _Task:
    """Pictures in the common space, and the heads that can be trained on them."""

    z: Tensor
    """z_NR."""
    labels: Tensor
    classes: int
    criterion: Criterion

    @property
    def columns(self) -> int:
        return 1 if self.classes == 2 else self.classes

    @property
    def small(self) -> bool:
        return len(self.labels) * self.columns <= SMALL

    @property
    def tolerances(self) -> tuple[float, float, float]:
        return FEW if self.small else MANY

    def choose(self, c_C: Tensor, folds_NS: Tensor) -> "_Choice":
        """The C with the best cross-validated score, the strongest regularisation on ties."""
        rounds = list(folds_NS.T if self.small else folds_NS.T[:1])
        counts = [int(folds_N.max()) + 1 for folds_N in rounds]
        learns_NP = torch.cat([self._others(folds_N) for folds_N in rounds], 1)
        problems = learns_NP.shape[1]
        start = self.z.new_zeros(self.z.shape[1], problems, self.columns)
        best, heads_RPK, scores = -1, start, []
        together = max(1, TOGETHER // (len(self.labels) * problems * self.columns))
        for some in torch.split(c_C, together):
            solved = self._solved(learns_NP, some, start, self.tolerances[0])
            for heads in torch.split(solved, problems, 1):
                scores.append(self._score(rounds, list(torch.split(heads, counts, 1))))
                if best < 0 or scores[-1] > scores[best] + 1e-9:
                    best, heads_RPK = len(scores) - 1, heads[:, : counts[0]]
            start = solved[:, -problems:]
        return _Choice(scores, best, heads_RPK)

    def of_folds(self, c: Tensor, folds_N: Tensor, start_RPK: Tensor | None = None) -> Tensor:
        """w_RPK: for each fold the head that learned from the others."""
        learns_NP = self._others(folds_N)
        if start_RPK is None:
            start_RPK = self.z.new_zeros(self.z.shape[1], learns_NP.shape[1], self.columns)
        return self._solved(learns_NP, c[None], start_RPK, self.tolerances[1])

    def on_all(self, c: Tensor, start_RPK: Tensor) -> Tensor:
        """w_RPK of the head that learned from all pictures."""
        learns_NP = self.z.new_ones(len(self.labels), 1)
        return self._solved(learns_NP, c[None], start_RPK, self.tolerances[2])

    def out_of_fold(self, heads_RPK: Tensor, folds_N: Tensor, seen_NK: Tensor) -> Tensor:
        """logits_NK of each picture by the head of its fold."""
        logits_NK = self.z.new_empty(len(self.labels), self.columns)
        for fold in range(heads_RPK.shape[1]):
            mine = folds_N == fold
            logits_NK[mine] = self.z[mine] @ heads_RPK[:, fold]
        logits_NK = self.rows(logits_NK)
        lowest_N1 = logits_NK.min(1, keepdim=True).values - FAR
        return torch.where(seen_NK, logits_NK, lowest_N1)

    def rows(self, values_RK: Tensor) -> Tensor:
        """A column for each class, of two as well."""
        return torch.cat([-values_RK / 2, values_RK / 2], 1) if self.columns == 1 else values_RK

    def seen(self, folds_N: Tensor) -> Tensor:
        """seen_NK: whether the head of a picture's fold has learned from pictures of a class."""
        counts_PK = torch.zeros(int(folds_N.max()) + 1, self.classes, dtype=torch.long)
        counts_PK.index_put_((folds_N, self.labels), torch.tensor(1), accumulate=True)
        return (counts_PK.sum(0) > counts_PK)[folds_N]

    def _others(self, folds_N: Tensor) -> Tensor:
        """learns_NP: 1 where the head of a fold learns from a picture."""
        return (folds_N[:, None] != torch.arange(int(folds_N.max()) + 1)).to(self.z.dtype)

    def _score(self, rounds: list[Tensor], heads: list[Tensor]) -> float:
        predicted = [
            self.out_of_fold(part, folds_N, self.seen(folds_N)).argmax(1)
            for folds_N, part in zip(rounds, heads, strict=True)
        ]
        value = score(torch.stack(predicted, 1), self.labels, self.classes, self.criterion)
        return float(value)

    def _solved(
        self, learns_NP: Tensor, c_C: Tensor, start_RPK: Tensor, tolerance: float
    ) -> Tensor:
        """Heads of all C for all problems, C by C; so many at once as memory takes."""
        weights = learns_NP.repeat(1, len(c_C))
        start = start_RPK.repeat(1, len(c_C), 1)
        c_P = c_C.repeat_interleave(learns_NP.shape[1])
        at_once = max(1, NUMBERS // (len(self.labels) * self.columns))
        solved = []
        for part in torch.split(torch.arange(len(c_P)), at_once):
            problems = Problems(self.z, self.labels, self.classes, weights[:, part], c_P[part])
            solved.append(solve(problems, start[:, part], tolerance))
        return torch.cat(solved, 1)


@dataclass(frozen=True)
class _Choice:
    scores: list[float]
    best: int
    heads: Tensor
    """w_RPK of the first round's folds at the best C."""


def _must_be_sound(features_NF: Tensor, labels_N: Tensor) -> None:
    if len(torch.unique(labels_N)) < 2:
        raise ValueError("a head needs pictures of two classes")
    if not bool(features_NF.isfinite().all()):
        raise ValueError("the features are not finite")


def _sample(labels_N: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Indices of the pictures and classes on which C is chosen: all, or a seeded sample."""
    generator = torch.Generator().manual_seed(0)
    kept_K = torch.arange(classes)
    if classes > MOST_CLASSES:
        counts_K = torch.bincount(labels_N, minlength=classes)
        shuffled_K = torch.randperm(classes, generator=generator)
        often = counts_K[shuffled_K].clamp(max=2).sort(descending=True, stable=True).indices
        kept_K = shuffled_K[often][:MOST_CLASSES].sort().values
    columns = 1 if len(kept_K) == 2 else len(kept_K)
    pool = torch.isin(labels_N, kept_K).nonzero()[:, 0]
    share = LARGEST / (len(pool) * columns)
    if share >= 1:
        return pool, kept_K
    shuffled = pool[torch.randperm(len(pool), generator=generator)]
    return torch.cat(list(_shares(shuffled, labels_N, share))).sort().values, kept_K


def _shares(indices: Tensor, labels_N: Tensor, share: float) -> Iterator[Tensor]:
    """The first of each class's pictures, at least two of them."""
    for label in torch.unique(labels_N[indices]):
        mine = indices[labels_N[indices] == label]
        yield mine[: max(2, round(len(mine) * share))]


def _lowered(bias_K: Tensor, counts_K: Tensor) -> Tensor:
    """The bias, in which a class without pictures is the least likely."""
    lowest = bias_K[counts_K > 0].min() - FAR
    return torch.where(counts_K > 0, bias_K, lowest)
