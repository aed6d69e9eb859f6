"""The part of the Tuning service that asks models: convert between protobuf and this package."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from netgraft.errors import InvalidValue
from netgraft.language import Message, say
from netgraft.serving.servicers import caller
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.tuning.data.manifest import Options
from netgraft.tuning.results.classcounts import ClassCounts
from netgraft.v1 import tuning_pb2

if TYPE_CHECKING:
    from netgraft.tuning.results.evaluate import Evaluation, Measuring
    from netgraft.tuning.results.pictures import Picture
    from netgraft.tuning.results.predict import Prediction


class Mistaken(Protocol):
    """A picture that was named wrong."""

    @property
    def file(self) -> str: ...
    @property
    def truth(self) -> str: ...
    @property
    def said(self) -> str: ...
    @property
    def probability(self) -> float: ...


class Answers:
    """The rpcs Evaluate and Predict; see `tuning.proto`."""

    store: Store

    def Evaluate(self, request: tuning_pb2.EvaluateRequest) -> Iterator[tuning_pb2.EvaluateReply]:
        from netgraft.models import resolve
        from netgraft.tuning.results.evaluate import evaluate

        recipe = resolve.resolve(request.model, "pretrained", self.store).recipe
        options = options_of(request.options)
        found = evaluate(recipe, request.data, request.part, self.store, options)
        yield from map(evaluate_reply, found)

    def Predict(self, request: tuning_pb2.PredictRequest) -> Iterator[tuning_pb2.PredictReply]:
        from netgraft.models import resolve
        from netgraft.tuning.results.predict import predict

        recipe = resolve.resolve(request.model, "pretrained", self.store).recipe
        pictures = pictures_asked(request)
        found = predict(
            recipe, pictures, self.store, top=request.top, thumbnails=request.thumbnails
        )
        yield from predict_replies(found, len(pictures), caller().language)


def options_of(options: tuning_pb2.DataOptions) -> Options:
    """Return the options in a message."""
    return Options(**{field.name: value for field, value in options.ListFields()})


def evaluate_reply(found: "Measuring") -> tuning_pb2.EvaluateReply:
    """Return the progress of an evaluation, or its end, as a message."""
    evaluation = evaluation_message(found.evaluation) if found.evaluation else None
    return tuning_pb2.EvaluateReply(done=found.done, total=found.total, evaluation=evaluation)


def evaluation_message(found: "Evaluation") -> tuning_pb2.Evaluation:
    """Return an evaluation as a message."""
    counts = found.counts
    figures, fair = counts.by_class, found.without_leaks.by_class
    low, high = figures.interval
    leaks: dict[str, Any] = {}
    if leaked := counts.examples - int(fair.examples):
        fair_low, fair_high = fair.interval
        leaks = {
            "leaked": leaked,
            "accuracy_without_leaks": fair.accuracy,
            "accuracy_without_leaks_low": fair_low,
            "accuracy_without_leaks_high": fair_high,
        }
    return tuning_pb2.Evaluation(
        model=found.model,
        data=found.data,
        part=found.part,
        pictures=counts.examples,
        correct=counts.correct,
        accuracy=figures.accuracy,
        accuracy_low=low,
        accuracy_high=high,
        majority=figures.majority,
        balanced_accuracy=figures.balanced_accuracy,
        macro_f1=figures.macro_f1,
        loss=counts.mean_loss,
        calibration_error=counts.calibration_error,
        classes=classes_message(found.class_names, counts.of_classes()),
        mistakes=mistakes_message(found.mistakes),
        confusion=counts.confusion_KK.flatten().int().tolist(),
        **leaks,
    )


def classes_message(
    names: Sequence[str], counts: Sequence[ClassCounts]
) -> list[tuning_pb2.ClassFigures]:
    """Return the figures of every class."""
    return [
        tuning_pb2.ClassFigures(
            name=name,
            pictures=each.pictures,
            recall=each.recall,
            precision=each.precision,
            f1=each.f1,
        )
        for name, each in zip(names, counts, strict=True)
    ]


def mistakes_message(mistakes: Iterable[Mistaken]) -> list[tuning_pb2.Mistake]:
    """Return mistakes, in their order."""
    return [
        tuning_pb2.Mistake(
            file=each.file, truth=each.truth, said=each.said, probability=each.probability
        )
        for each in mistakes
    ]


def pictures_asked(request: tuning_pb2.PredictRequest) -> "list[Picture]":
    """Return the pictures that a request is about.

    Raises InvalidValue, PictureNotFound and OutsideDataRoots.
    """
    from netgraft.tuning.results.pictures import pictures_at, pictures_of

    for name in ("top", "thumbnails"):
        if (value := getattr(request, name)) < 0:
            raise InvalidValue(name=name, value=value, expected=Message("0 or more"))
    pictures = pictures_at(request.paths, settings().roots)
    for sent in request.pictures:  # two of them may have the same name
        pictures += pictures_of({sent.name: sent.data})
    if not pictures:
        expected = Message("a picture or a folder of pictures")
        raise InvalidValue(name="paths", value=Message("empty"), expected=expected)
    return pictures


def predict_replies(
    predictions: "Iterable[Prediction]", total: int, language: str
) -> Iterator[tuning_pb2.PredictReply]:
    """Yield predictions as messages, numbered from 1."""
    for done, found in enumerate(predictions, 1):
        likely = [
            tuning_pb2.Likely(name=each.name, index=each.index, probability=each.probability)
            for each in found.classes
        ]
        yield tuning_pb2.PredictReply(
            name=found.name,
            classes=likely,
            error=say(found.error, language) if found.error else "",
            done=done,
            total=total,
            thumbnail=found.small,
        )
