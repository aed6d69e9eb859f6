"""The registry of kinds of data sets."""

from netgraft.settings import settings
from netgraft.tuning.data.dataset import DataSet, Kind
from netgraft.tuning.data.digits import Digits
from netgraft.tuning.data.folder import ImageFolder

KINDS: tuple[Kind, ...] = (Digits, ImageFolder)
"""In the order in which they are asked whether a reference is theirs; the last takes any."""


def open_data(reference: str) -> DataSet:
    """The data set that a reference means: a name, or a path below the data roots.

    Raises DataNotFound, OutsideDataRoots and InvalidData. Pictures are not looked at yet:
    `DataSet.check` does that.
    """
    kind = next(kind for kind in KINDS if kind.accepts(reference.strip()))
    return kind.open(reference.strip(), settings().roots)
