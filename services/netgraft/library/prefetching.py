"""Prefetching: pretrained weights, brought to this machine before they are needed."""

from collections.abc import Iterator

from netgraft.errors import CannotPrefetch, WeightsUnavailable
from netgraft.library.listing import on_disk
from netgraft.models import resolve
from netgraft.models.fetch.http import Progress, sparse
from netgraft.store.store import Store


def prefetched(reference: str, store: Store) -> tuple[str, Iterator[Progress]]:
    """The name of the weights that a reference means, and their download.

    Raises as `resolve.prefetch` does; the download raises CannotPrefetch.
    """
    base, download = resolve.prefetch(reference, store)
    return base, _explained(sparse(download))


def _explained(download: Iterator[Progress]) -> Iterator[Progress]:
    try:
        yield from download
    except WeightsUnavailable as error:
        present = ", ".join(on_disk()) or "–"
        raise CannotPrefetch(**error.values, present=present) from error
