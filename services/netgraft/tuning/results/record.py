"""The record of the data that a model was tuned on, as it was then: what it is evaluated on later.

The parts are kept by name where netgraft made them: pictures that arrive later would shift them.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from netgraft.store.store import Store
from netgraft.tuning.data.manifest import Manifest, Options, Part

KIND = "splits"


@dataclass(frozen=True)
class Record:
    """A data set's reference, how it was read, and its parts where they were made."""

    data: str
    options: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    """Part by a picture's name; {} where the data have parts of their own."""
    without: tuple[str, ...] = ()
    """Names of pictures that could not be read and were left out."""
    leaked: tuple[str, ...] = ()
    """Names of those that measure, and of which copies were trained on."""

    def read(self) -> Options:
        """Return the options by which the data were read."""
        return Options(**self.options)

    def applied(self, manifest: Manifest) -> Manifest:
        """The manifest with the recorded parts; pictures that were not there then are left out."""
        left_out = frozenset(self.without)
        parts = self.parts or dict(zip(manifest.names, manifest.parts, strict=True))
        kept = [
            index
            for index, name in enumerate(manifest.names)
            if name in parts and name not in left_out
        ]
        names = tuple(manifest.names[index] for index in kept)
        groups = tuple(manifest.groups[index] for index in kept) if manifest.groups else ()
        return replace(
            manifest,
            names=names,
            labels=tuple(manifest.labels[index] for index in kept),
            parts=tuple(cast("Part", parts[name]) for name in names),
            groups=groups,
        )


def keep(
    store: Store,
    manifest: Manifest,
    without: Collection[int] = (),
    leaked: Collection[int] = (),
) -> str:
    """Store the record of a data set without some of its pictures, and return its name.

    Raises DiskFull.
    """
    made = manifest.made_split
    record = Record(
        data=manifest.reference,
        options=asdict(manifest.options),
        parts=dict(zip(manifest.names, manifest.parts, strict=True)) if made else {},
        without=tuple(manifest.names[index] for index in sorted(without)),
        leaked=tuple(manifest.names[index] for index in sorted(leaked)),
    )
    text = json.dumps(asdict(record), sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    store.put_file(KIND, f"{digest}.json", text.encode())
    return digest


def recorded(store: Store, digest: str) -> Record | None:
    """The record of that name; None where it is lost or was never made."""
    text = store.get_file(KIND, f"{digest}.json") if digest else None
    return Record(**json.loads(text)) if text else None
