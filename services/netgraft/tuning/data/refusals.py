"""What keeps a data set from being trained on, as far as names, folders and classes show."""

from collections.abc import Iterator

from netgraft.errors import InvalidData
from netgraft.language import Message
from netgraft.tuning.data.manifest import Manifest


def must_train(manifest: Manifest) -> None:
    """Raise InvalidData, in a sentence, where training makes no sense."""
    for problem in _problems(manifest):
        raise InvalidData(data=manifest.reference, problem=problem)


def _problems(manifest: Manifest) -> Iterator[Message]:
    names = manifest.class_names
    if len(names) == 1:
        yield Message(
            "it has one class only ({name}); there must be two or more to tell apart.",
            name=names[0],
        )
    if not manifest.size("train"):
        yield Message("it has no pictures to train on.")
    trained = {manifest.labels[index] for index in manifest.indices("train")}
    for label, name in enumerate(names):
        if label not in trained:
            yield Message("its class {name!r} has no pictures.", name=name)
    if manifest.untrained:
        yield Message(
            "its other parts have classes that train lacks: {names}.",
            names=list(manifest.untrained),
        )
    if not manifest.size("held_out"):
        if manifest.groups:
            yield Message("no group can be held out to measure with without losing a class.")
        yield Message("every class has a single picture, so none can be held out to measure with.")
