"""A head that starts from the mean of what it reads for each class of a data set.

The tuning service measured means_KF and a scale s, and stored them. The head under which the
class of the nearest mean wins is W = s μ, b = −s/2 · ‖μ‖².
"""

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from netgraft.errors import InvalidValue
from netgraft.language import Message
from netgraft.store.store import Store
from netgraft.surgery.trial import Trial

if TYPE_CHECKING:
    from torch import Tensor

DIGEST = re.compile(r"[0-9a-f]{64}")


def means_of(trial: Trial, digest: str, store: Store) -> "dict[str, Tensor]":
    """The main head's tensors by parameter name. Raises InvalidValue."""
    from netgraft.models.initialise import torch_dtype

    stored = _stored(digest, store)
    means_KF, scale = stored["means"], stored["scale"]
    head = next(h for h in trial.anatomy.trace.heads if h.classes and h.role == "main")
    blanks = {blank.name: blank for blank in trial.blanks if blank.path == head.path}
    shape = blanks["weight"].shape
    if trial.anatomy.trace.detector or math.prod(shape) != means_KF.numel():
        classes, features = means_KF.shape
        expected = Message(
            "means of {classes:,} classes over the {features:,} numbers that {path} reads",
            classes=head.classes,
            features=head.in_features,
            path=head.path,
        )
        value = Message(
            "means of {classes:,} classes over {features:,} numbers",
            classes=classes,
            features=features,
        )
        raise InvalidValue(name="means", value=value, expected=expected)
    # Without a bias the length of a mean cannot be made up for: take means around their own mean.
    centred = means_KF if "bias" in blanks else means_KF - means_KF.mean(0)
    values = {
        "weight": (scale * centred).view(shape),
        "bias": -scale / 2 * means_KF.square().sum(1),
    }
    return {b.full_name: values[name].to(torch_dtype(b.dtype)) for name, b in blanks.items()}


def _stored(digest: str, store: Store) -> "Mapping[str, Tensor]":
    expected = Message("what the rpc MeanFeatures named")
    if not DIGEST.fullmatch(digest):
        raise InvalidValue(name="means", value=repr(digest), expected=expected)
    try:
        found = store.get_tensors(digest)
    except FileNotFoundError as error:
        raise InvalidValue(name="means", value=repr(digest), expected=expected) from error
    if found.keys() != {"means", "scale"}:
        raise InvalidValue(name="means", value=repr(digest), expected=expected)
    return found
