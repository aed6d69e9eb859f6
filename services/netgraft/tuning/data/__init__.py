"""Labelled pictures: the kinds of data sets, where they may be, and their checks.

Knows nothing of models but how they are asked (`models.answering`), of training, tasks and Ray.
"""

from netgraft.tuning.data.examples import Examples
from netgraft.tuning.data.kinds import open_data
from netgraft.tuning.data.manifest import Manifest, Options

__all__ = ["Examples", "Manifest", "Options", "open_data"]
