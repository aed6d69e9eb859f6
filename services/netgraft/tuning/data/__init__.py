"""Labelled pictures: the kinds of data sets, where they may lie, and their checks.

Knows nothing of models, training and Ray. To add a kind: write a class with the
methods of `DataSet` and a classmethod `open`, and name it in `kinds.KINDS`.
"""

from netgraft.tuning.data.dataset import DataSet, Examples
from netgraft.tuning.data.kinds import KINDS, open_data

__all__ = ["KINDS", "DataSet", "Examples", "open_data"]
