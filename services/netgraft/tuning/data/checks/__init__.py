"""The checks of a data set, a file each: every module here that holds a `CHECK`.

A check is a function of a `Seen`, and yields findings. To add one, add a file here whose `CHECK` is
such a function: nothing else names it.
"""

import pkgutil
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

from netgraft.tuning.data.checks.finding import Finding, Seen

Check = Callable[[Seen], Iterator[Finding]]


def every_check() -> Iterator[Check]:
    """All checks, in the order of their modules' names."""
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        check = getattr(import_module(f"{__name__}.{found.name}"), "CHECK", None)
        if check is not None:
            yield check


def check_all(seen: Seen) -> Sequence[Finding]:
    """Run all checks and return what they find: errors first, then warnings, then notes."""
    found = [finding for check in every_check() for finding in check(seen)]
    return sorted(found, key=lambda finding: finding.severity.rank)
