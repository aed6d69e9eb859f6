"""Format numbers for people: counts, sizes, times, shares."""

from netgraft.language import Translator

UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(number: int) -> str:
    """Format a count: 1234567 → "1,234,567"."""
    return f"{number:,}"


def short(number: float) -> str:
    """Format a large number in three digits: 8178000000 → "8.18 G"."""
    for size, unit in UNITS:
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def size(number: int) -> str:
    """Format a number of bytes: 102400000 → "102 MB"."""
    return short(number).replace("k", "K") + "B" if number >= 1000 else f"{number} B"


def share(number: float) -> str:
    """Format a share as a percentage: 0.9722 → "97.2 %"."""
    return f"{100 * number:.1f} %"


def duration(seconds: float, say: Translator) -> str:
    """Format a time: 80 seconds → "1 min 20 s"."""
    whole = round(seconds)
    if whole < 60:
        return say("{n} s", n=whole)
    if whole < 3600:
        return say("{n} min {rest} s", n=whole // 60, rest=whole % 60)
    return say("{n} h {rest} min", n=whole // 3600, rest=whole % 3600 // 60)
