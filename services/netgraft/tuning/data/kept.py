"""Manifests kept as Parquet files by their fingerprints, with the parts that were made.

A run and a prediction find there what was agreed upon, and need not read names again.
"""

import io
import json
from dataclasses import asdict, replace
from typing import Any, cast

from netgraft.errors import InvalidData
from netgraft.language import Message, from_plain, plural, to_plain
from netgraft.store.store import Store
from netgraft.tuning.data.containers.memory import Memory
from netgraft.tuning.data.kinds import container_of, open_data
from netgraft.tuning.data.manifest import Guess, Manifest, Options

KIND = "manifests"
FORMAT = "1"
MOST_BYTES = 2**30
COLUMNS = ("names", "labels", "parts", "groups")
SIZES, TIMES = "sizes", "times"
"""Columns of the stamps."""
FACTS = b"netgraft"
"""Where the file's metadata has what is not a column."""
CHANGED = plural(
    "{names} has changed since it was agreed upon. Start again with the data as they are.",
    "{names} have changed since they were agreed upon, {count} pictures in all. Start again with "
    "the data as they are.",
)
MOST_NAMED = 20
ELSEWHERE = Memory({})
"""In the place of the container, which is not kept."""


def keep(manifest: Manifest, store: Store) -> str:
    """Keep a manifest; return its fingerprint, or "" where a picture is gone. Raises DiskFull."""
    try:
        fingerprint = manifest.fingerprint
    except InvalidData:
        return ""
    store.put_file(KIND, _file(fingerprint), _to_bytes(manifest))
    store.trim(KIND, MOST_BYTES)
    return fingerprint


def kept_or_read(fingerprint: str, reference: str, options: Options, store: Store) -> Manifest:
    """The manifest of a fingerprint; read again where none is kept, or none was agreed upon.

    Raises as `kept` and `open_data` do.
    """
    found = kept(fingerprint, store) if fingerprint else None
    return found or open_data(reference, options)


def kept(fingerprint: str, store: Store) -> Manifest | None:
    """The manifest of a fingerprint; None where none is kept.

    Raises InvalidData where a picture has another size or time since, or is gone, DataNotFound
    and OutsideDataRoots.
    """
    found = kept_with_stamps(fingerprint, store)
    if found is None:
        return None
    opened, before = found
    pairs = zip(before, opened.stamps, strict=True)
    changed = [name for name, (was, now) in zip(opened.names, pairs, strict=True) if was != now]
    if changed:
        problem = Message(CHANGED, names=changed[:MOST_NAMED], count=len(changed))
        raise InvalidData(data=opened.reference, problem=problem)
    return opened


def kept_with_stamps(
    fingerprint: str, store: Store
) -> tuple[Manifest, list[tuple[int, int]]] | None:
    """The manifest of a fingerprint, and the stamps that its pictures had; None as in `kept`.

    Looks at no picture. Raises DataNotFound and OutsideDataRoots.
    """
    data = store.get_file(KIND, _file(fingerprint)) if fingerprint else None
    found = None if data is None else _from_bytes(data)
    if found is None:
        return None
    stamps, manifest = found
    return replace(manifest, container=container_of(manifest.kind, manifest.reference)), stamps


def _file(fingerprint: str) -> str:
    return f"{fingerprint}.{FORMAT}.parquet"


def _to_bytes(manifest: Manifest) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: getattr(manifest, name) for name in COLUMNS if getattr(manifest, name)}
    guesses = [[guess.option, to_plain(guess.sentence), guess.value] for guess in manifest.guesses]
    facts = {
        name: getattr(manifest, name)
        for name in manifest.__dataclass_fields__
        if name not in (*COLUMNS, "container", "options", "guesses")
    }
    document = facts | {"options": asdict(manifest.options), "guesses": guesses}
    sizes, times = zip(*manifest.stamps, strict=True)
    columns |= {SIZES: sizes, TIMES: times}
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    table = table.replace_schema_metadata({FACTS: json.dumps(document).encode()})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _from_bytes(data: bytes) -> tuple[list[tuple[int, int]], Manifest] | None:
    """The stamps and the manifest in a file; None where the file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError):
        return None
    facts: dict[str, Any] = json.loads(table.schema.metadata[FACTS])
    columns = {name: tuple(table[name].to_pylist()) for name in table.column_names}
    guesses = tuple(
        Guess(option, cast("Message", from_plain(sentence)), value)
        for option, sentence, value in facts.pop("guesses")
    )
    stamps = list(zip(columns.pop(SIZES), columns.pop(TIMES), strict=True))
    options = Options(**facts.pop("options"))
    values = {name: _tuples(value) for name, value in facts.items()} | columns
    manifest = Manifest(**values, options=options, guesses=guesses, container=ELSEWHERE)
    return stamps, manifest


def _tuples(value: Any) -> Any:
    """A value of JSON with tuples for its lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
