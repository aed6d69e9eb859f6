"""Progress bars for transferred bytes and counted things, on a terminal only."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

Show = Callable[[int, int], None]
"""Takes how many bytes or things are done, of how many (0: unknown)."""


class Counted(Protocol):
    """A reply of a stream that says how far it is."""

    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...


Counting = TypeVar("Counting", bound=Counted)


@contextmanager
def transfer_bar(label: str, *, shown: bool) -> Iterator[Show]:
    """Show a bar on stderr with speed and time left, if stderr is a terminal."""
    from netgraft.cli.terminal.output import console

    out = console(stderr=True)
    if not (shown and out.is_terminal):
        yield lambda _, __: None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=out) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


@contextmanager
def counting_bar(label: str, *, shown: bool) -> Iterator[Show]:
    """Show a bar on stderr for things that are counted, if stderr is a terminal."""
    from netgraft.cli.terminal.output import console

    out = console(stderr=True)
    if not (shown and out.is_terminal):
        yield lambda _, __: None
        return
    from rich.progress import Progress

    with Progress(console=out) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


def last_counted(replies: Iterable[Counting], label: str, *, shown: bool) -> Counting | None:
    """Show how many things are done, and return the last reply; None where there was none."""
    last = None
    with counting_bar(label, shown=shown) as show:
        for last in replies:
            show(last.done, last.total)
    return last
