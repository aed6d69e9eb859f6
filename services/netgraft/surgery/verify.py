"""Check that an edit changed the class dimensions of a model's outputs and nothing else."""

from collections.abc import Iterable
from dataclasses import replace

from netgraft.anatomy.roles import Head
from netgraft.anatomy.traces import Output, Trace
from netgraft.language import Message
from netgraft.models.recipe import HeadEdit


def breach(before: Trace, after: Trace, edits: Iterable[HeadEdit], classes: int) -> str:
    """The problem that an edit caused, in words; "" when it did what it should.

    `before` and `after` are traces of the model around the edit, `classes` is what
    the heads tell apart now, background included.
    """
    by_path = {edit.path: edit for edit in edits}
    if any(edit.append for edit in by_path.values()):
        return _appended(after, classes)
    return _heads(before, after, by_path, classes) or _all_outputs(before, after, classes)


def _appended(after: Trace, classes: int) -> str:
    shapes = [output.shape for output in after.outputs]
    if len(shapes) != 1 or shapes[0][1:] != (classes,):
        return Message("with a new layer behind it, it returns {shapes}.", shapes=listed(shapes))
    if [head.classes for head in after.heads] != [classes]:
        return Message("the new layer does not reach the output.")
    return ""


def _heads(before: Trace, after: Trace, edits: dict[str, HeadEdit], classes: int) -> str:
    expected = [_edited(head, edits, classes) for head in before.heads]
    for head, wanted in zip(after.heads, expected, strict=False):
        if head != wanted:
            return Message(
                "layer {path} became {found} instead of {wanted}.",
                path=wanted.path,
                found=_said(head),
                wanted=_said(wanted),
            )
    if len(after.heads) != len(expected):
        return Message(
            "it has {found} heads instead of {wanted}.",
            found=len(after.heads),
            wanted=len(expected),
        )
    return ""


def _edited(head: Head, edits: dict[str, HeadEdit], classes: int) -> Head:
    edit = edits.get(head.path)
    return replace(head, out_features=edit.after, classes=classes) if edit else head


def _said(head: Head) -> str:
    return f"{head.path}: {head.type}({head.in_features} → {head.out_features})"


def _all_outputs(before: Trace, after: Trace, classes: int) -> str:
    old, new = before.classes, classes
    for mode, then, now in (
        (Message("evaluation"), before.outputs, after.outputs),
        (Message("training"), before.training_outputs, after.training_outputs),
    ):
        if [output.key for output in then] != [output.key for output in now]:
            return Message("in {mode} it returns other outputs than before.", mode=mode)
        for was, is_now in zip(then, now, strict=True):
            if not _fits(before, was, is_now, old, new):
                return Message(
                    "in {mode} output {output} changed from {before} to {after}.",
                    mode=mode,
                    output=was.key or "logits",
                    before=listed([was.shape]),
                    after=listed([is_now.shape]),
                )
    return ""


def _fits(trace: Trace, was: Output, now: Output, old: int, new: int) -> bool:
    """True if one class dimension changed where there is one, and nothing else."""
    if trace.detector:  # how many boxes there are is no part of the shape
        return was.shape[1:] == now.shape[1:]
    if len(was.shape) != len(now.shape):
        return False
    changed = [pair for pair in zip(was.shape, now.shape, strict=True) if pair[0] != pair[1]]
    counts = {head.path for head in trace.heads if head.classes}
    if old == new or not counts & set(was.heads):
        return not changed
    return changed == [(old, new)]


Moved = tuple[str, tuple[int, ...], tuple[int, ...]]
"""Key of an output, its shape before, its shape now; () where there is no such output."""


def moved(before: Trace, after: Trace) -> list[Moved]:
    """The outputs whose shapes differ. How many boxes a detector finds is no part of a shape.

    In training mode only what both traces saw is compared.
    """
    changes: list[Moved] = []
    for then, now in (
        (before.outputs, after.outputs),
        (before.training_outputs, after.training_outputs),
    ):
        if then is before.training_outputs and not (then and now):
            continue
        old, new = _shapes(before, then), _shapes(after, now)
        keys = dict.fromkeys([*old, *new])
        changes += [
            (key, old.get(key, ()), new.get(key, ()))
            for key in keys
            if old.get(key) != new.get(key)
        ]
    return changes


def _shapes(trace: Trace, outputs: Iterable[Output]) -> dict[str, tuple[int, ...]]:
    return {each.key: each.shape[1:] if trace.detector else each.shape for each in outputs}


def listed(shapes: Iterable[tuple[int, ...]]) -> str:
    return ", ".join("×".join(map(str, shape)) or "a number" for shape in shapes) or "nothing"
