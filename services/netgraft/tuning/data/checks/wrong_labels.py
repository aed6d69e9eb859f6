"""Pictures that are probably labelled wrong, by what a probe says that was not fitted to them.

Confident learning (Northcutt, Jiang and Chuang 2021, arXiv:1911.00068), written from the paper: a
picture counts for another class where its probability there reaches the mean of those that are
labelled so, and it belongs to its own label less.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from netgraft.language import Message, plural
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

SENTENCE = plural(
    "{count} picture is probably labelled wrong: a model that had not seen it takes it for another "
    "class ({first} for {name}). Look at it.",
    "{count} pictures are probably labelled wrong: a model that had not seen them takes them for "
    "other classes ({first} for {name}). Look at them.",
)


def suspects(probabilities_NK: "NDArray[Any]", labels_N: "NDArray[Any]") -> list[tuple[int, int]]:
    """Rows that are probably labelled wrong, the surest first, and the class each seems to be."""
    import numpy as np

    rows, classes = probabilities_NK.shape
    own_N = probabilities_NK[np.arange(rows), labels_N]
    counts_K = np.bincount(labels_N, minlength=classes)
    sums_K = np.bincount(labels_N, weights=own_N, minlength=classes)
    # A class that no row is labelled with cannot claim one.
    threshold_K = np.where(counts_K > 0, sums_K / np.maximum(counts_K, 1), np.inf)
    claimed_NK = np.where(probabilities_NK >= threshold_K, probabilities_NK, -1.0)
    seems_N = claimed_NK.argmax(1)
    best_N = claimed_NK.max(1)
    wrong = np.flatnonzero((seems_N != labels_N) & (best_N > own_N))
    order = wrong[np.argsort((own_N - best_N)[wrong], kind="stable")]
    return [(int(row), int(seems_N[row])) for row in order]


def wrong_labels(seen: Seen) -> Iterator[Finding]:
    """A note with the files, in the manifest's order."""
    import numpy as np

    if seen.out_of_fold is None:
        return
    indices = seen.out_of_fold.indices
    labels = np.asarray([seen.manifest.labels[index] for index in indices])
    found = suspects(seen.out_of_fold.probabilities, labels)
    if found:
        row, seems = found[0]
        sentence = Message(
            SENTENCE,
            count=len(found),
            first=seen.manifest.names[indices[row]],
            name=seen.manifest.class_names[seems],
        )
        files = seen.files(sorted(indices[row] for row, _ in found))
        yield Finding("wrong_labels", Severity.NOTE, files, sentence)


CHECK = wrong_labels
