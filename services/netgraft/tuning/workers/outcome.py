"""What a run says of the models that it made, in sentences."""

from collections.abc import Sequence

from netgraft.language import Message
from netgraft.tuning.workers.choosing import is_beyond_chance

MIRROR_HURTS = Message(
    "Pictures are not mirrored in training: the probe errs more often on mirrored ones."
)


def in_parts(batch_size: int, parts: int) -> Message:
    """Memory did not suffice for whole batches."""
    return Message(
        "There is not enough memory for {batch_size} pictures at once: each batch goes through "
        "the model in {parts} parts, one after the other, and is learned from as a whole.",
        batch_size=batch_size,
        parts=parts,
    )


def no_memory(batch_size: int) -> Message:
    """Memory does not suffice, whatever the parts."""
    return Message(
        "there is not enough memory for a step of {batch_size} pictures. Ask for a smaller batch "
        "size or a smaller image size.",
        batch_size=batch_size,
    )


def souped(ingredients: int) -> Message:
    """Say of what the best weights are the mean."""
    return Message(
        "The mean of the best weights of {count} epochs is as good on held-back pictures as the "
        "best of them, and is taken.",
        count=ingredients,
    )


def better(metrics: dict[str, float], model: str) -> Message:
    """The figures of a model that beats those before it, and its id."""
    return Message(
        "A better model is ready, {model}: accuracy {accuracy:.1%} on held-out pictures "
        "(95 %: {low:.1%} to {high:.1%}). Training goes on while that pays.",
        model=model[:12],
        accuracy=metrics["accuracy"],
        low=metrics["accuracy_low"],
        high=metrics["accuracy_high"],
    )


def first(metrics: dict[str, float], model: str) -> Message:
    """The probe's figures on what is held out, and its id."""
    sentence = Message(
        "A first model is ready, the probe {model}: accuracy {accuracy:.1%} on held-out pictures "
        "(95 %: {low:.1%} to {high:.1%}; always naming the largest class: {majority:.1%}).",
        model=model[:12],
        accuracy=metrics["accuracy"],
        low=metrics["accuracy_low"],
        high=metrics["accuracy_high"],
        majority=metrics["majority"],
    )
    return _beside_leaks(sentence, metrics)


def _beside_leaks(sentence: Message, metrics: dict[str, float]) -> Message:
    """A sentence about figures, and what they are without the pictures that leaked."""
    if not metrics.get("leaked"):
        return sentence
    return Message(
        "{sentence} Copies of {leaked:.1%} of these pictures are trained on; on the others it is "
        "{accuracy:.1%} (95 %: {low:.1%} to {high:.1%}).",
        sentence=sentence,
        leaked=metrics["leaked"],
        accuracy=metrics["accuracy_without_leaks"],
        low=metrics["accuracy_without_leaks_low"],
        high=metrics["accuracy_without_leaks_high"],
    )


def nothing_to_show(right: Sequence[bool]) -> Message:
    """Why nothing is trained after the probe."""
    return Message(
        "The result is the probe. It errs on {wrong} of {total} training pictures that were held "
        "back, so that no other model could be shown to be better. The strategy `full` trains one "
        "all the same.",
        wrong=right.count(False),
        total=len(right),
    )


def compared(right: Sequence[bool], before: Sequence[bool]) -> Message:
    """Which of the tuned model and the probe is the result, and by what."""
    facts = {"tuned": right.count(True), "probe": before.count(True), "total": len(right)}
    if is_beyond_chance(right, before):
        return Message(
            "Full tuning is better than the probe: of {total} held-back training pictures it "
            "answers {tuned} rightly and the probe {probe}.",
            **facts,
        )
    return Message(
        "The result is the probe: of {total} held-back training pictures full tuning answers "
        "{tuned} rightly and the probe {probe}, which is not better beyond chance.",
        **facts,
    )
