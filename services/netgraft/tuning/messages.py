"""Data sets and what is said of them, from and to protobuf, for the servicer."""

from typing import TYPE_CHECKING

from netgraft.language import say
from netgraft.serving.servicers import caller
from netgraft.tuning.data.manifest import PARTS, Options
from netgraft.v1 import tuning_pb2

if TYPE_CHECKING:
    from netgraft.tuning.data.checks.finding import Finding
    from netgraft.tuning.results.checking import Report


def options_of(options: tuning_pb2.DataOptions) -> Options:
    """Return the options in a message."""
    return Options(**{field.name: value for field, value in options.ListFields()})


def report_message(report: "Report") -> tuning_pb2.DataReport:
    """Return a report as a message, in the caller's language."""
    manifest, language = report.manifest, caller().language
    sizes = {part: manifest.size(part) for part in PARTS}
    guesses = [say(guess.sentence, language) for guess in manifest.guesses]
    return tuning_pb2.DataReport(
        data=manifest.reference,
        kind=manifest.kind,
        task=manifest.task,
        classes=manifest.class_names,
        sizes={part: size for part, size in sizes.items() if size or part != "test"},
        pictures=len(manifest.names),
        guesses=guesses,
        findings=[finding_message(each) for each in report.findings],
        fingerprint=report.fingerprint,
        data_hash=report.data_hash,
        fixed=report.fixed,
        sampled=report.compared,
        class_sizes=report.class_sizes,
    )


def finding_message(finding: "Finding") -> tuning_pb2.Finding:
    """Return a finding as a message, in the caller's language."""
    return tuning_pb2.Finding(
        kind=finding.kind,
        severity=finding.severity.value,
        files=finding.files,
        sentence=say(finding.sentence, caller().language),
    )
