"""Files that hold no picture, or none that can be decoded whole, or too large a one. Errors."""

from collections.abc import Iterator

from netgraft.language import Message, mark, plural
from netgraft.settings import settings
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity

SENTENCES = {
    "empty": plural(
        "{count} file is empty: it has no bytes, as after a download that broke off. {remedy}",
        "{count} files are empty: they have no bytes, as after a download that broke off. {remedy}",
    ),
    "truncated": plural(
        "{count} picture is cut short: the end of its file is missing. {remedy}",
        "{count} pictures are cut short: the ends of their files are missing. {remedy}",
    ),
    "unreadable": plural(
        "{count} file is no picture that can be decoded, whatever its name says. {remedy}",
        "{count} files are no pictures that can be decoded, whatever their names say. {remedy}",
    ),
    "too_large": plural(
        "{count} picture is larger than {limit} MP, the most that is decoded. Make it smaller, or "
        "allow more with NETGRAFT_PICTURE_MEGAPIXELS where the server starts.",
        "{count} pictures are larger than {limit} MP, the most that is decoded. Make them smaller, "
        "or allow more with NETGRAFT_PICTURE_MEGAPIXELS where the server starts.",
    ),
    "absent": plural(
        "{count} picture is named and not there. Bring it back, or take its row out of the list.",
        "{count} pictures are named and not there. Bring them back, or take their rows out of the "
        "list.",
    ),
}
REMEDY = mark("Replace what is broken, or go on without it: `netgraft data check {data} --fix`.")


def faults(seen: Seen) -> Iterator[Finding]:
    """A finding for each kind of fault, with all of its files."""
    found: dict[str, list[str]] = {kind: [] for kind in SENTENCES}
    for name, facts in zip(seen.manifest.names, seen.facts, strict=bool(seen.facts)):
        if facts.fault:
            found["absent" if facts.fault == "gone" else facts.fault].append(name)
    found["absent"] += [name for name in seen.manifest.absent if name not in found["absent"]]
    for kind, files in found.items():
        if files:
            sentence = Message(
                SENTENCES[kind],
                count=len(files),
                remedy=Message(REMEDY, data=seen.manifest.reference),
                limit=settings().picture_megapixels,
            )
            yield Finding(kind, Severity.ERROR, tuple(files), sentence, tuple(files))


CHECK = faults
