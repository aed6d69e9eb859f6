"""What a run says of its course, in sentences: where it diverged, over-fitting, standing still,
its ceiling, and from where it goes on.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch

from netgraft.errors import TrainingFailed
from netgraft.language import Message
from netgraft.tuning.jobs.spec import Spec
from netgraft.tuning.train.diagnosis import Unsound, unsound
from netgraft.tuning.train.objective import Batch
from netgraft.tuning.train.precision import autocast
from netgraft.tuning.train.step import Learner, placed

RISING = 3
"""Epochs in a row after which a held-back loss that rises is called over-fitting."""
RISEN = 1.1
"""By what ratio it has risen then."""
STANDING = 6
"""Epochs in a row after which a figure that gains nothing is said to stand still."""
GAIN = 0.002
"""What counts as a gain."""
OVER_FITTING, STILL = "over-fitting", "still"


def where_unsound(learner: Learner, batch: Batch, rank: int) -> Unsound | None:
    """Find the first part that was no number in a step that was not taken, by one more pass."""
    config, module = learner.config, learner.module
    ready = placed(batch, learner.device, learner.layout)
    torch.manual_seed(hash((config.seed, learner.steps, rank)) % 2**63)
    with autocast(learner.device, config.precision):
        return unsound(
            module, ready, partial(learner.objective.loss, learner.criterion, module, ready)
        )


def diverged(
    value: float, step: int, total: int, spec: Spec, found: Unsound | None
) -> TrainingFailed:
    """The error of a run whose loss is no number."""
    facts = {"loss": value, "step": step, "total": total, "rate": spec.lr}
    if found is None:
        problem = Message(
            "the loss became {loss} by step {step} of {total}. Lower the learning rate (it was "
            "{rate:g}); the last checkpoint is kept.",
            **facts,
        )
    else:
        problem = Message(
            "the loss became {loss} by step {step} of {total}; the first that was no number was "
            "{part}. Lower the learning rate (it was {rate:g}); the last checkpoint is kept.",
            part=_part(found),
            **facts,
        )
    return TrainingFailed(problem=problem)


def _part(found: Unsound) -> Message:
    if found.part == "weights":
        return Message("a weight of {layer}", layer=found.layer)
    if found.part == "output":
        return Message("the output of {layer}", layer=found.layer)
    if found.part == "gradient":
        return Message("the gradient at {layer}", layer=found.layer)
    return Message("the loss itself") if found.part == "loss" else Message("a picture of its batch")


def of_curve(
    curve: Sequence[tuple[float, float]], said: Sequence[str]
) -> tuple[str, Message] | None:
    """The name of a remark about held-back losses and figures, and its sentence.

    None where there is nothing to say that was not `said`; over-fitting is said after all else.
    """
    if OVER_FITTING not in said and (sentence := _over_fitting([loss for loss, _ in curve])):
        return OVER_FITTING, sentence
    if not said and (sentence := _standing_still([figure for _, figure in curve])):
        return STILL, sentence
    return None


def _over_fitting(losses: Sequence[float]) -> Message | None:
    rising = losses[-RISING - 1 :]
    rises = len(rising) > RISING and all(before < after for before, after in pairwise(rising))
    least = min(losses)
    if not rises or losses[-1] <= RISEN * least:
        return None
    return Message(
        "It over-fits: the loss on held-back pictures has risen from {least:.3f} after epoch "
        "{epoch} to {loss:.3f}. The best epoch is kept; more data, stronger augmentation or a "
        "lower learning rate help.",
        least=least,
        epoch=losses.index(least) + 1,
        loss=losses[-1],
    )


def _standing_still(figures: Sequence[float]) -> Message | None:
    before, lately = figures[:-STANDING], figures[-STANDING:]
    if not before or max(lately) >= max(before) + GAIN:
        return None
    return Message(
        "It stands still: {epochs} epochs have brought nothing on held-back pictures "
        "({figure:.1%}). More epochs alone will not help.",
        epochs=STANDING,
        figure=max(before),
    )


def at_ceiling(spec: Spec, done: float, epochs: int) -> Message:
    """Say why a run ends before its last epoch."""
    facts = {"done": done, "epochs": epochs}
    if spec.max_cost and not spec.max_minutes:
        return Message(
            "It ends after {done:.3g} of {epochs} epochs, by its ceiling of cost. The best model "
            "so far is the result, and the job can be resumed.",
            **facts,
        )
    return Message(
        "It ends after {done:.3g} of {epochs} epochs, by its ceiling of {minutes:g} minutes. The "
        "best model so far is the result, and the job can be resumed.",
        minutes=spec.max_minutes,
        **facts,
    )


def laid_out(steps: int, total: int, step_seconds: float) -> Message:
    """Say for how many steps there is time."""
    return Message(
        "There is time for {steps:,} of {total:,} steps, at {seconds:.3g} s each: the learning "
        "rate falls over these.",
        steps=steps,
        total=total,
        seconds=step_seconds,
    )


def no_time() -> TrainingFailed:
    """The error of a run that has nothing to hand over at its ceiling."""
    problem = Message(
        "its ceiling was reached before the first step, so that there is no model. Resume it with "
        "a higher one."
    )
    return TrainingFailed(problem=problem)


def goes_on(step: int, epochs: int) -> Message:
    """Say that a run has another schedule from here."""
    if step == 0:
        return Message("It begins with the first step, for {epochs} epochs.", epochs=epochs)
    return Message(
        "It goes on from step {step:,} for {epochs} more epochs, with its weights and optimizer as "
        "they were; the learning rate rises and falls once more.",
        step=step,
        epochs=epochs,
    )
