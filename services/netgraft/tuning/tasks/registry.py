"""The tasks that there are: every module beside this one that holds a `TASK`."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from netgraft.errors import NotPossible
from netgraft.language import Message
from netgraft.tuning import tasks
from netgraft.tuning.tasks.task import Task

UNKNOWN = "unknown"
"""The catalogue's task for a user's own model, whose file does not name one."""


def every_task() -> Iterator[Task]:
    """All tasks, in the order of their modules' names."""
    for found in sorted(pkgutil.iter_modules(tasks.__path__), key=lambda module: module.name):
        task = getattr(import_module(f"{tasks.__name__}.{found.name}"), "TASK", None)
        if task is not None:
            yield task


def task_for(kind: str, model: str) -> Task:
    """The task that trains models of a kind, by the catalogue's name of it.

    `model` is the model's name, for the sentence. Raises NotPossible when there is no such task.
    """
    known = list(every_task())
    for task in known:
        if kind in task.models:
            return task
    problem = Message(
        "{model} is a model for {task}; this version trains models for {trained} only.",
        model=model,
        task=kind,
        trained=sorted({name for task in known for name in task.models} - {UNKNOWN}),
    )
    raise NotPossible(problem=problem)
