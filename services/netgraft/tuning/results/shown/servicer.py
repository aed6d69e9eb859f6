"""The part of the Tuning service that shows results: convert between protobuf and this package."""

from typing import TYPE_CHECKING

from netgraft.errors import InvalidValue, NotFound
from netgraft.language import Message
from netgraft.store.store import Store
from netgraft.tuning.results.servicer import classes_message, mistakes_message
from netgraft.tuning.results.shown.heldout import HeldOut, kept
from netgraft.v1 import tuning_pb2

if TYPE_CHECKING:
    from netgraft.tuning.jobs.jobs import Jobs

DEFAULT_LIMIT = 50
MOST_ANSWERS = 1000
MOST_PAIRS = 100
MOST_CLASSES = 200
"""Of more, the confusion is too large for a message."""


class Shown:
    """The rpcs GetResults, ListAnswers and GetPicture; see `tuning.proto`."""

    store: Store
    jobs: "Jobs"

    def GetResults(self, request: tuning_pb2.GetResultsRequest) -> tuning_pb2.Results:
        from netgraft.tuning.results.shown.pictures import newest_model
        from netgraft.tuning.results.varied import varied_sheet

        job = self.jobs.get(request.job)
        model = newest_model(job, self.store)
        found = kept(self.store, model) if model else None
        return tuning_pb2.Results(
            job=job.id,
            model=model,
            evaluation=figures_message(model, found) if found else None,
            sizes=found.sizes if found else {},
            data_hash=found.data_hash if found else "",
            confused=_confused(found) if found else (),
            varied=varied_sheet(self.store, job.id) or b"",
        )

    def ListAnswers(self, request: tuning_pb2.ListAnswersRequest) -> tuning_pb2.ListAnswersReply:
        from netgraft.tuning.results.shown.pictures import newest_model

        for name in ("limit", "offset"):
            if (value := getattr(request, name)) < 0:
                raise InvalidValue(name=name, value=value, expected=Message("0 or more"))
        model = newest_model(self.jobs.get(request.job), self.store)
        found = kept(self.store, model) if model else None
        if found is None:
            raise NotFound(what=Message("What the model said of its held-out pictures"))
        answers = found.answers(request.truth, request.said)
        last = request.offset + min(request.limit or DEFAULT_LIMIT, MOST_ANSWERS)
        shown = [
            tuning_pb2.Answer(
                file=each.file, truth=each.truth, said=each.said, probability=each.probability
            )
            for each in answers[request.offset : last]
        ]
        return tuning_pb2.ListAnswersReply(answers=shown, total=len(answers))

    def GetPicture(self, request: tuning_pb2.GetPictureRequest) -> tuning_pb2.Picture:
        from netgraft.tuning.results.shown.pictures import pictures_of

        pictures = pictures_of(self.jobs.get(request.job), self.store)
        return tuning_pb2.Picture(name=request.file, data=pictures.small(request.file))


def figures_message(model: str, found: HeldOut) -> tuning_pb2.Evaluation:
    """Return the figures of stored answers as a message."""
    known = found.metrics
    return tuning_pb2.Evaluation(
        model=model,
        data=found.data,
        part="held_out",
        pictures=len(found.names),
        correct=found.correct,
        accuracy=known["accuracy"],
        accuracy_low=known["accuracy_low"],
        accuracy_high=known["accuracy_high"],
        majority=known["majority"],
        balanced_accuracy=known["balanced_accuracy"],
        macro_f1=known["macro_f1"],
        loss=known["loss"],
        calibration_error=known["calibration_error"],
        classes=classes_message(found.class_names, found.of_classes),
        mistakes=mistakes_message(found.mistakes()),
        leaked=round(known.get("leaked", 0) * len(found.names)),
        accuracy_without_leaks=known.get("accuracy_without_leaks", 0),
        accuracy_without_leaks_low=known.get("accuracy_without_leaks_low", 0),
        accuracy_without_leaks_high=known.get("accuracy_without_leaks_high", 0),
        confusion=found.confusion() if len(found.class_names) <= MOST_CLASSES else (),
    )


def _confused(found: HeldOut) -> list[tuning_pb2.Confused]:
    return [
        tuning_pb2.Confused(truth=truth, said=said, pictures=pictures)
        for truth, said, pictures in found.confused(MOST_PAIRS)
    ]
