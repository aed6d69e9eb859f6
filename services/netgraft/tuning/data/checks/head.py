"""A model's head that was made for other classes than the data's. An error."""

from collections.abc import Iterator

from netgraft.language import Message
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity


def head(seen: Seen) -> Iterator[Finding]:
    """An error with the retarget that mends it. The same names in another order are no fault:
    classes are matched by name."""
    made_for, names = seen.head, seen.manifest.class_names
    if made_for is None or not made_for.edited:
        return
    same_names = not made_for.class_names or set(made_for.class_names) == set(names)
    if made_for.classes == len(names) and same_names:
        return
    sentence = Message(
        "The model's head tells {model_classes} classes apart ({known}), and the data have "
        "{data_classes} ({names}). Retarget it first: "
        "`netgraft retarget {model} --classes {data_classes}`.",
        model=made_for.model,
        model_classes=made_for.classes,
        known=list(made_for.class_names[:5]) or Message("without names"),
        data_classes=len(names),
        names=list(names[:5]),
    )
    lacking = tuple(name for name in names if name not in made_for.class_names)
    yield Finding("head", Severity.ERROR, lacking or names, sentence)


CHECK = head
