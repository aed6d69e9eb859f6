"""What passes over data sets found, kept by fingerprint: a second check of the same is free."""

import json
from collections.abc import Sequence
from dataclasses import replace

from netgraft.errors import InvalidData
from netgraft.language import Message, from_plain, to_plain
from netgraft.store.memo import Memo
from netgraft.store.store import Store
from netgraft.tuning.data.facts import PictureFacts
from netgraft.tuning.data.manifest import Manifest
from netgraft.tuning.data.reading import Reading

KIND = "facts"
FORMAT = "2"
MOST_BYTES = 256 * 2**20

FIELDS = ("fault", "size", "format", "mode", "content", "alpha", "deep", "sharpness", "brightness")
"""All but the looks, which are bytes, and the problem, which is a message."""


def known_facts(manifest: Manifest, store: Store) -> Sequence[PictureFacts]:
    """Return what an earlier pass found out about these pictures; () where there was none."""
    if not (key := fingerprint(manifest)):
        return ()
    found = FACTS.find(store, key) or ()
    return found if len(found) == len(manifest.names) else ()


def is_remembered(fingerprint: str, store: Store) -> bool:
    """Return whether a pass over pictures of this fingerprint has kept what it found."""
    return bool(fingerprint) and FACTS.file_name(fingerprint) in store.names(KIND)


def remember(reading: Reading, store: Store) -> None:
    """Keep what a pass over all pictures found. Raises DiskFull."""
    if key := fingerprint(reading.manifest):
        FACTS.put(store, key, tuple(reading.facts))
        store.trim(KIND, MOST_BYTES)


def fingerprint(manifest: Manifest) -> str:
    """The fingerprint of a manifest; "" where a picture is gone."""
    try:
        return manifest.fingerprint
    except InvalidData:
        return ""


def _to_bytes(facts: Sequence[PictureFacts]) -> bytes:
    rows = [
        [len(each.looks), to_plain(each.problem), *(getattr(each, name) for name in FIELDS)]
        for each in facts
    ]
    return json.dumps(rows).encode() + b"\n" + b"".join(each.looks for each in facts)


def _from_bytes(data: bytes) -> tuple[PictureFacts, ...]:
    head, _, looks = data.partition(b"\n")
    found = []
    at = 0
    for length, problem, *values in json.loads(head):
        facts = PictureFacts(**dict(zip(FIELDS, values, strict=True)))
        deep = None if facts.deep is None else (facts.deep[0], facts.deep[1])
        size = (facts.size[0], facts.size[1])
        said = from_plain(problem)
        assert said is None or isinstance(said, Message)
        look = looks[at : at + length]
        found.append(replace(facts, looks=look, problem=said, deep=deep, size=size))
        at += length
    return tuple(found)


FACTS = Memo(KIND, "facts", FORMAT, _to_bytes, _from_bytes, in_memory=4)
