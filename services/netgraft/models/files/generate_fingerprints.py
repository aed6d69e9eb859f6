"""Write the fingerprints of the zoo again: `python -m netgraft.models.files.generate_fingerprints`.

About ten minutes: each model is built on the meta device, for two class counts.
"""

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from netgraft.models.bases import base_module
from netgraft.models.files.fingerprints import FILE, Signature, body_hash, keys_hash, sketch
from netgraft.models.files.shapes import Shapes, counted
from netgraft.models.recipe import Base
from netgraft.models.source import source
from netgraft.models.weightless import construct_weightless
from netgraft.models.zoo.catalogue import entries
from netgraft.models.zoo.entry import Entry
from netgraft.models.zoo.library import Library

logger = logging.getLogger(__name__)

OTHER_CLASSES = 7
"""Any count that is no model's own."""


def generate(file: Path) -> None:
    """Write a line for each structure of the zoo."""
    with file.open("w") as out:
        for entry in entries():
            for line in lines(entry):
                out.write(json.dumps(asdict(line), separators=(",", ":")) + "\n")
            out.flush()


def lines(entry: Entry) -> Iterator[Signature]:
    """The distinct structures of a name."""
    library, name = source(entry.source), entry.short
    assert isinstance(library, Library)
    own = _shapes(Base(entry.source, name, None))
    changing = _class_layers(library, name, own)
    seen = set()
    for weights in (None, *library.variants(entry)):
        shapes = own if weights is None else _shapes(Base(entry.source, name, weights))
        owners = {key.rpartition(".")[0] for key in shapes}
        heads = tuple(sorted(changing & owners))
        line = Signature(
            entry.source,
            name,
            weights,
            keys_hash(shapes),
            body_hash(shapes, heads),
            heads,
            sketch(shapes),
        )
        if (line.keys, line.body) not in seen:
            seen.add((line.keys, line.body))
            yield line


def _shapes(base: Base) -> dict[str, tuple[int, ...]]:
    state = base_module(base, device="meta").state_dict()
    return counted((key, tuple(value.shape)) for key, value in state.items())


def _class_layers(library: Library, name: str, own: Shapes) -> set[str]:
    """Paths of the layers whose shapes follow the class count."""
    try:
        module = construct_weightless(lambda: library.construct_for(name, OTHER_CLASSES))
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        logger.info("%s takes no class count: %s", name, error)
        return set()
    other = counted((key, tuple(value.shape)) for key, value in module.state_dict().items())
    return {key.rpartition(".")[0] for key in other if other[key] != own.get(key)}


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).with_name(FILE))
    generate(Path(target))
