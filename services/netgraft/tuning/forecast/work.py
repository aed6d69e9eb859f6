"""What a run has to do, in numbers."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from sqlalchemy import select

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import SurgeryFailed
from netgraft.models import bases
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.store.memo import Memo
from netgraft.store.store import Store
from netgraft.store.tables import JobRow
from netgraft.tuning.data.held_back import roles
from netgraft.tuning.data.kept import kept_or_read
from netgraft.tuning.data.remembered import is_remembered
from netgraft.tuning.jobs.job import State
from netgraft.tuning.jobs.spec import CONVERGED, ResolvedSpec, Spec

MOST_JOBS = 50
"""Earlier jobs of a model that are looked through."""
PARAMETERS: Memo[int] = Memo(
    "parameters", "json", "1", lambda count: json.dumps(count).encode(), json.loads
)
FEATURES = 1024
"""Where the head is not known."""


@dataclass(frozen=True)
class Work:
    """The work of one run."""

    network: str
    """The base's name: of the same one, pieces of work take as long."""
    strategy: str
    device: str
    optimizer: str
    side: int
    batch: int
    workers: int
    flops: float
    """Of one forward pass of one picture at `side`; 0 where that is not known."""
    parameters: int
    features: int
    """Numbers that the head gets of a picture."""
    pictures: int
    bytes: int
    """Of all pictures as files."""
    fit: int
    """Pictures to learn from."""
    held_back: int
    held_out: int
    classes: int
    epochs: int
    """At most."""
    patience: int
    probes: bool
    """Whether a probe comes first, or is all."""
    trains: bool
    """Whether steps may follow it."""
    seen: bool
    """Whether these pictures have been read and checked before."""
    data: str = ""
    """Fingerprint of the data."""
    kept: bool = False
    """Whether an earlier run has kept the features from which the probe is made."""

    @property
    def train(self) -> int:
        """Return the number of all training pictures."""
        return self.fit + self.held_back

    @property
    def steps(self) -> int:
        """Return the number of steps of an epoch."""
        return self.fit // max(1, self.batch)

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """The work that `plain` wrote; raises TypeError where another version wrote less."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


@dataclass(frozen=True)
class Saved:
    """Work that earlier runs have done already."""

    seen: bool
    """The pictures have been read and checked."""
    kept: bool
    """The features for the probe are kept."""


def saved_for(spec: Spec, store: Store) -> Saved:
    """Return what need not be done in a run of a resolved spec; it takes no time to find out."""
    return Saved(is_remembered(spec.fingerprint, store), _probes(spec) and _has_probed(spec, store))


def work_of(spec: Spec, store: Store, saved: Saved | None = None) -> Work:
    """The work of a run of a resolved spec.

    `saved`: what that was before the run began. Raises DataNotFound, OutsideDataRoots and
    InvalidData.
    """
    saved = saved or saved_for(spec, store)
    recipe = get_recipe(store, spec.model)
    data = kept_or_read(spec.fingerprint, spec.data, spec.options, store)
    dealt = roles(data)
    return Work(
        network=recipe.base.shown,
        strategy=spec.strategy,
        device=spec.device,
        optimizer=spec.optimizer,
        side=spec.image_size,
        batch=spec.batch_size,
        workers=spec.workers,
        flops=_flops(recipe, spec.image_size, store),
        parameters=_parameters(recipe, store),
        features=_features(recipe, store),
        pictures=len(data.names),
        bytes=sum(size for size, _ in data.stamps),
        fit=len(dealt.fit),
        held_back=len(dealt.held_back),
        held_out=len(dealt.held_out),
        classes=len(data.class_names),
        epochs=spec.epochs,
        patience=spec.patience,
        probes=_probes(spec),
        trains=spec.optimizer != CONVERGED,
        seen=saved.seen,
        data=spec.fingerprint,
        kept=saved.kept,
    )


def _probes(spec: Spec) -> bool:
    return spec.strategy == "auto" or spec.optimizer == CONVERGED


def _has_probed(spec: Spec, store: Store) -> bool:
    """Return whether a job has made a probe of the same model from the same pictures."""
    query = (
        select(JobRow.spec)
        .where(JobRow.state == State.SUCCEEDED, JobRow.spec.contains(spec.model))
        .order_by(JobRow.created.desc())
        .limit(MOST_JOBS)
    )
    with store.session() as session:
        known = [ResolvedSpec.from_json(text).spec for text in session.scalars(query)]
    names = ("fingerprint", "image_size", "workers", "device")
    return any(
        each.features and all(getattr(each, name) == getattr(spec, name) for name in names)
        for each in known
    )


def _flops(recipe: Recipe, side: int, store: Store) -> float:
    """Operations of a forward pass at a side: they grow with the number of pixels."""
    from netgraft.anatomy import inspection

    try:
        own = inspection.flops(recipe, store)
    except SurgeryFailed:
        return 0.0
    return float(own) * (side / max(1, bases.preprocessing(recipe.base).size)) ** 2


def _features(recipe: Recipe, store: Store) -> int:
    try:
        heads = Anatomies(store).of(recipe).trace.heads
    except SurgeryFailed:
        return FEATURES
    return next((head.in_features for head in heads if head.classes), FEATURES)


def _parameters(recipe: Recipe, store: Store) -> int:
    from netgraft.models.build import build

    def counted() -> int:
        module = build(recipe, store, device="meta")
        return sum(parameter.numel() for parameter in module.parameters())

    return PARAMETERS.get(store, recipe.id, counted)
