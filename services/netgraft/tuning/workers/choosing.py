"""What decides in a run, and what it has decided so far.

Everything here is judged on training pictures that are held back, never on those that measure the
result. Plain values, so that a checkpoint holds all of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from netgraft.tuning.train.calibration import sign_test
from netgraft.tuning.train.probe import Criterion
from netgraft.tuning.train.strategies import is_imbalanced

CHANCE = 0.05
"""A difference that chance alone makes this often is not called one."""
INGREDIENTS = 3
"""Best weights of which a soup is made, at most."""
HELD_BACK = "held_back_"
"""Before the names of figures on held-back pictures."""


def criterion(counts: Sequence[int]) -> Criterion:
    """The figure that decides, by the number of training pictures in each class."""
    return "balanced_accuracy" if is_imbalanced(counts) else "accuracy"


@dataclass(frozen=True)
class Decisions:
    """The decisions of a run so far."""

    by: Criterion = "accuracy"
    """The figure that decides; where a task has none of that name, the lowest loss."""
    best: str = ""
    """File of the best weights, for `checkpoint.best`."""
    best_epoch: int = 0
    best_figures: dict[str, float] = field(default_factory=dict)
    right: list[bool] = field(default_factory=list)
    """For each held-back picture, whether the best weights answer it rightly."""
    bests: list[str] = field(default_factory=list)
    """Files of the best weights of several times, the newest last."""
    souped: int = 0
    """Of how many the best weights are the mean, once that was tried; 0 before."""
    waited: int = 0
    """Epochs since one was better than all before it, and than the probe."""
    probe: str = ""
    """Id of the probe's model, where there is one."""
    probe_metrics: dict[str, float] = field(default_factory=dict)
    """Its figures on what is held out."""
    probe_figures: dict[str, float] = field(default_factory=dict)
    """Its figures on held-back pictures, from a head that had not seen them."""
    probe_right: list[bool] = field(default_factory=list)
    shown: str = ""
    """Id of the last model of these epochs that was handed out before the end."""
    shown_best: str = ""
    """File of its weights."""
    shown_metrics: dict[str, float] = field(default_factory=dict)
    """Its figures on what is held out."""
    shown_right: list[bool] = field(default_factory=list)
    first_step: int = 0
    """The step from which the schedule counts: where the run was last asked for more epochs."""
    total_steps: int = 0
    """At which it ends, where a ceiling leaves no time for all epochs; 0: it does them all."""
    since: float = 0.0
    """As `Resumed.since`: the ceiling by which that was found."""
    restarts: int = 0
    """How often it was given another schedule, because it was asked for more epochs."""
    curve: list[tuple[float, float]] = field(default_factory=list)
    """After each epoch the loss on held-back pictures and the figure that decides."""
    said: list[str] = field(default_factory=list)
    """What has been said of the curve; each is said once."""

    def is_better(self, figures: Mapping[str, float]) -> bool:
        """Return whether figures beat those of the best so far; of equals the lower loss does."""
        return not self.best_figures or self._key(figures) > self._key(self.best_figures)

    def with_best(
        self, name: str, epoch: int, figures: Mapping[str, float], right: Sequence[bool]
    ) -> "Decisions":
        """The decisions once these weights are the best."""
        return replace(
            self,
            best=name,
            bests=[*self.bests, name][-INGREDIENTS:],
            best_epoch=epoch,
            best_figures=dict(figures),
            right=list(right),
            waited=0 if self._beats_probe(figures) else self.waited + 1,
        )

    def with_shown(self, model: str, metrics: Mapping[str, float]) -> "Decisions":
        """The decisions once the best weights are handed out as a model."""
        return replace(
            self,
            shown=model,
            shown_best=self.best,
            shown_metrics=dict(metrics),
            shown_right=list(self.right),
        )

    @property
    def is_worth_showing(self) -> bool:
        """Return whether the best is better beyond chance than what was handed out before it."""
        before = self.shown_right or self.probe_right
        return bool(before and self.right) and is_beyond_chance(self.right, before)

    def _beats_probe(self, figures: Mapping[str, float]) -> bool:
        return not self.probe_figures or self._key(figures) > self._key(self.probe_figures)

    def with_worse(self) -> "Decisions":
        """The decisions after an epoch that was no better."""
        return replace(self, waited=self.waited + 1)

    def plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        return cls(**values)

    def _key(self, figures: Mapping[str, float]) -> tuple[float, float]:
        return figures.get(self.by, 0.0), -figures["loss"]


def is_beyond_chance(right: Sequence[bool], before: Sequence[bool]) -> bool:
    """Return whether answers are better than others to the same pictures, beyond chance.

    McNemar's exact test, one-sided (Psychometrika 12, 1947).
    """
    wins = sum(now and not then for now, then in zip(right, before, strict=True))
    losses = sum(then and not now for now, then in zip(right, before, strict=True))
    return sign_test(wins, losses) < CHANCE


def could_be_beyond_chance(before: Sequence[bool]) -> bool:
    """Return whether answers without a mistake would be better than these beyond chance."""
    return sign_test(before.count(False), 0) < CHANCE
