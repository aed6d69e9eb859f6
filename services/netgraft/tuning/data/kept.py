"""Manifests kept as Parquet files by their fingerprints, with the parts that were made.

A run and a prediction find there what was agreed upon, and need not read names again.
"""

import io
import json
from dataclasses import asdict, replace
from typing import Any, cast

from netgraft.errors import InvalidData
from netgraft.language import Message, from_plain, to_plain
from netgraft.store.store import Store
from netgraft.tuning.data.containers.memory import Memory
from netgraft.tuning.data.kinds import container_of
from netgraft.tuning.data.manifest import Guess, Manifest, Options

KIND = "manifests"
FORMAT = "1"
MOST_BYTES = 2**30
COLUMNS = ("names", "labels", "parts", "groups")
FACTS = b"netgraft"
"""Where the file's metadata has what is not a column."""
ELSEWHERE = Memory({})
"""In the place of the container, which is not kept."""


def keep(manifest: Manifest, store: Store) -> str:
    """Keep a manifest; return its fingerprint. Raises InvalidData and DiskFull."""
    store.put_file(KIND, _file(manifest.fingerprint), _to_bytes(manifest))
    store.trim(KIND, MOST_BYTES)
    return manifest.fingerprint


def kept(fingerprint: str, store: Store) -> Manifest | None:
    """The manifest of a fingerprint; None where none is kept.

    Raises InvalidData where a picture has another size or time since, DataNotFound and
    OutsideDataRoots.
    """
    data = store.get_file(KIND, _file(fingerprint))
    found = None if data is None else _from_bytes(data)
    if found is None:
        return None
    opened = replace(found, container=container_of(found.kind, found.reference))
    if opened.fingerprint != fingerprint:
        problem = Message("its pictures have changed since; start again with those of now.")
        raise InvalidData(data=found.reference, problem=problem)
    return opened


def _file(fingerprint: str) -> str:
    return f"{fingerprint}.{FORMAT}.parquet"


def _to_bytes(manifest: Manifest) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: getattr(manifest, name) for name in COLUMNS if getattr(manifest, name)}
    guesses = [[guess.option, to_plain(guess.sentence)] for guess in manifest.guesses]
    facts = {
        name: getattr(manifest, name)
        for name in manifest.__dataclass_fields__
        if name not in (*COLUMNS, "container", "options", "guesses")
    }
    document = facts | {"options": asdict(manifest.options), "guesses": guesses}
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    table = table.replace_schema_metadata({FACTS: json.dumps(document).encode()})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _from_bytes(data: bytes) -> Manifest | None:
    """The manifest in a file; None where the file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError):
        return None
    facts: dict[str, Any] = json.loads(table.schema.metadata[FACTS])
    columns = {name: tuple(table[name].to_pylist()) for name in table.column_names}
    guesses = tuple(
        Guess(option, cast("Message", from_plain(sentence)))
        for option, sentence in facts.pop("guesses")
    )
    options = Options(**facts.pop("options"))
    values = {name: _tuples(value) for name, value in facts.items()} | columns
    return Manifest(**values, options=options, guesses=guesses, container=ELSEWHERE)


def _tuples(value: Any) -> Any:
    """A value of JSON with tuples for its lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
