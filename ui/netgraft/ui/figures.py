"""Numbers for people: counts, sizes, times, shares."""

from netgraft.ui.messages import Words

UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(number: int) -> str:
    """1234567 → "1,234,567"."""
    return f"{number:,}"


def short(number: float) -> str:
    """8178000000 → "8.18 G"."""
    for size, unit in UNITS:
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def size(number: int) -> str:
    """Bytes: 102400000 → "102 MB"."""
    return short(number).replace("k", "K") + "B" if number >= 1000 else f"{number} B"


def share(number: float) -> str:
    """0.9722 → "97.2 %"."""
    return f"{100 * number:.1f} %"


def duration(seconds: float, say: Words) -> str:
    """80 seconds → "1 min 20 s"."""
    whole = round(seconds)
    if whole < 60:
        return say.second.format(n=whole)
    if whole < 3600:
        return say.minute.format(n=whole // 60, rest=whole % 60)
    return say.hour.format(n=whole // 3600, rest=whole % 3600 // 60)
