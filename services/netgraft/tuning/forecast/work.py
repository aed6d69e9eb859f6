"""What a run has to do, in numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import SurgeryFailed
from netgraft.models import bases
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.store.store import Store
from netgraft.tuning.data.held_back import roles
from netgraft.tuning.data.kept import kept_or_read
from netgraft.tuning.data.manifest import Manifest
from netgraft.tuning.data.remembered import known_facts
from netgraft.tuning.jobs.spec import CONVERGED, Spec

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


def work_of(spec: Spec, store: Store) -> Work:
    """The work of a run of a resolved spec.

    Raises DataNotFound, OutsideDataRoots and InvalidData.
    """
    recipe = get_recipe(store, spec.model)
    data = kept_or_read(spec.fingerprint, spec.data, spec.options, store)
    return of_parts(spec, recipe, data, store)


def of_parts(spec: Spec, recipe: Recipe, data: Manifest, store: Store) -> Work:
    """The work of a run, by what is opened already."""
    dealt = roles(data)
    probes = spec.strategy == "auto" or spec.optimizer == CONVERGED
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
        probes=probes,
        trains=spec.optimizer != CONVERGED,
        seen=bool(known_facts(data, store)),
        data=spec.fingerprint,
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

    module = build(recipe, store, device="meta")
    return sum(parameter.numel() for parameter in module.parameters())
