"""Labelled pictures: the kinds of data sets, where they may be, and their checks.

Knows nothing of models, training, tasks and Ray.
"""

from netgraft.tuning.data.dataset import DataSet, Examples
from netgraft.tuning.data.kinds import open_data

__all__ = ["DataSet", "Examples", "open_data"]
