"""The tasks for which a model can be tuned, a file each: target, loss, figures, answer.

Knows no data set, no job and no Ray. To add a task, add a file here whose `TASK` fulfils
`task.Task`: nothing else names it.
"""

from netgraft.tuning.tasks.task import Task

__all__ = ["Task"]
