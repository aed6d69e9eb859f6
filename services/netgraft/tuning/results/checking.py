"""Checking a data set: the pass over its pictures, the findings, and a list without the faults."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from netgraft.models import resolve
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.tuning.data.checks import check_all
from netgraft.tuning.data.checks.finding import Finding, Head
from netgraft.tuning.data.kinds import open_data
from netgraft.tuning.data.kinds.written import write_list
from netgraft.tuning.data.manifest import Manifest, Options
from netgraft.tuning.data.reading import SMALLEST_SIDE, Reading
from netgraft.tuning.data.remembered import fingerprint, known_facts, remember
from netgraft.tuning.results.probing import Probe

MOST_REPLIES = 500
"""Times that the progress of reading is reported, about."""


@dataclass(frozen=True)
class Report:
    """The findings about a data set, and what it holds."""

    manifest: Manifest
    findings: Sequence[Finding]
    data_hash: str
    fingerprint: str
    """"" where a picture is gone."""
    compared: int
    """Number of pictures that were compared with each other."""
    fixed: str = ""
    """Reference of a list without the pictures at fault, where one was asked for."""

    @property
    def class_sizes(self) -> list[int]:
        """Number of pictures of each class, in index order, over all parts."""
        counts = Counter(self.manifest.labels)
        return [counts[label] for label in range(len(self.manifest.class_names))]


@dataclass(frozen=True)
class Checked:
    """The progress of a check, and at its end the report."""

    done: int
    total: int
    report: Report | None = None


def check_data(
    reference: str, options: Options, store: Store, *, model: str = "", fix: bool = False
) -> Iterator[Checked]:
    """Read every picture of a data set and find what is wrong with it.

    Raises DataNotFound, OutsideDataRoots, InvalidData, InvalidValue, UnknownModel and DiskFull; a
    finding raises nothing.
    """
    recipe = resolve.resolve(model, "pretrained", store).recipe if model else None
    manifest = open_data(reference, options)
    probe = Probe(recipe, manifest, store) if recipe else None
    probed = len(manifest.names) if probe and probe.is_possible else 0
    total = len(manifest.names) + probed
    yield Checked(0, total)
    known = known_facts(manifest, store)
    side = probe.side if probe and probed else SMALLEST_SIDE
    reading = Reading(manifest, side, known=known, keep=bool(probed))
    for done in reading.read():
        if done % (total // MOST_REPLIES + 1) == 0:
            yield Checked(done, total)
    if not known:
        remember(reading, store)
    seen = replace(reading.seen, head=_head(recipe) if recipe else None)
    if probe and probed:
        for step in probe.run(reading, probe.chosen(reading)):
            if isinstance(step, int):
                yield Checked(len(manifest.names) + step, total)
            else:
                seen = replace(seen, out_of_fold=step)
    findings = check_all(seen)
    yield Checked(total, total, _report(reading, findings, seen.copies.compared, fix=fix))


def _report(reading: Reading, findings: Sequence[Finding], compared: int, *, fix: bool) -> Report:
    manifest = reading.manifest
    return Report(
        manifest,
        findings,
        reading.data_hash,
        fingerprint(manifest),
        compared,
        _fixed(manifest, findings) if fix else "",
    )


def _fixed(manifest: Manifest, findings: Sequence[Finding]) -> str:
    """Write a list without what the findings leave out; return its reference."""
    without = {name for finding in findings for name in finding.left_out}
    return write_list(manifest, without)


def _head(recipe: Recipe) -> Head:
    return Head(
        model=recipe.id[:12] if recipe.edits else recipe.base.name,
        classes=recipe.classes or 0,
        class_names=recipe.class_names,
        edited=recipe.has_new_classes,
    )
