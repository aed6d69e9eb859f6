"""Keep the paths that a user names inside the data roots.

Symbolic links are resolved before anything is compared, so no spelling leads outside.
"""

from collections.abc import Iterator
from pathlib import Path

from netgraft.errors import DataNotFound, NotFound, OutsideDataRoots


def inside(reference: str, roots: tuple[Path, ...], missing: type[NotFound] = DataNotFound) -> Path:
    """The existing file or folder that a reference names, links resolved.

    A relative path is looked for below each root in turn. Raises OutsideDataRoots,
    whether or not something lies there, and `missing` when nothing lies inside.
    """
    candidates = list(_candidates(reference, roots))
    allowed = [path for path in candidates if is_inside(path, roots)]
    if candidates and not allowed:
        raise OutsideDataRoots(path=reference, roots=_named(roots))
    for path in allowed:
        if path.exists():
            return path
    raise missing(data=reference, roots=_named(roots))


def is_inside(path: Path, roots: tuple[Path, ...]) -> bool:
    """True if a resolved path lies in one of the resolved roots."""
    return any(path.is_relative_to(root) for root in roots)


def _candidates(reference: str, roots: tuple[Path, ...]) -> Iterator[Path]:
    for root in roots:
        try:
            # An absolute or "~" path replaces the root in the join.
            path = (root / Path(reference).expanduser()).resolve()
            path.exists()
        except (OSError, RuntimeError, ValueError):  # too long, a loop of links, a zero byte
            continue
        yield path


def _named(roots: tuple[Path, ...]) -> str:
    return ", ".join(str(root) for root in roots)
