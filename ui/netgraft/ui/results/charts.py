"""Curves as SVG: lines with axes, for a page that loads no library.

A chart is one picture to a screen reader; the page has a table of the epochs beside it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from netgraft.ui.results.history import Point

WIDTH, HEIGHT = 380, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 30
"""Margins, with room for the ticks' numbers."""
TICKS = 4
"""About as many on each axis."""
MOST_DOTS = 60
"""Of more points, only the line is drawn."""


@dataclass(frozen=True)
class Line:
    """One curve. `kind` is a class of the style sheet: "training", "held-back" or "probe"."""

    name: str
    kind: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Axis:
    """The range that is drawn, and the numbers beside it."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Return how far along the axis a value is, 0 to 1."""
        return (value - self.low) / (self.high - self.low)


def axis(values: Sequence[float]) -> Axis:
    """A range of round numbers that holds all values."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - (abs(low) / 10 or 0.5), high + (abs(high) / 10 or 0.5)
    step = _round_step((high - low) / TICKS)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(number * step for number in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def chart(title: str, across: str, lines: Sequence[Line], *, percent: bool = False) -> str:
    """A figure with its title, and a legend with the newest values; "" without points.

    `across` names the horizontal axis. `percent`: values are shares.
    """
    drawn = [line for line in lines if finite(line.points)]
    if not drawn:
        return ""
    points = [point for line in drawn for point in finite(line.points)]
    x, y = axis([at for at, _ in points]), axis([value for _, value in points])
    legend = "".join(
        f'<li class="{line.kind}">{escape(line.name)} '
        f"<b>{_number(finite(line.points)[-1][1], percent=percent)}</b></li>"
        for line in drawn
    )
    curves = "".join(_curve(line, x, y) for line in drawn)
    label = escape(f"{title}: {', '.join(line.name for line in drawn)}")
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{_grid(x, y, percent=percent)}{curves}"
        f'<text class="across" x="{WIDTH - RIGHT}" y="{HEIGHT - 2}">{escape(across)}</text>'
        f'</svg><ul class="legend">{legend}</ul></figure>'
    )


def finite(points: Sequence[Point]) -> list[Point]:
    """The points that can be drawn: a loss may have become NaN."""
    return [point for point in points if math.isfinite(point[1])]


def _curve(line: Line, x: Axis, y: Axis) -> str:
    places = [_place(point, x, y) for point in finite(line.points)]
    path = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
    curve = f'<polyline class="{line.kind}" points="{path}"/>' if len(places) > 1 else ""
    if len(places) > MOST_DOTS or line.kind != "held-back":
        return curve
    dots = (f'<circle class="{line.kind}" cx="{a:.1f}" cy="{d:.1f}" r="3"/>' for a, d in places)
    return curve + "".join(dots)


def _grid(x: Axis, y: Axis, *, percent: bool) -> str:
    rows = []
    for tick in y.ticks:
        _, down = _place((x.low, tick), x, y)
        rows.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}"/>')
        number = _number(tick, percent=percent)
        rows.append(f'<text class="up" x="{LEFT - 6}" y="{down + 4:.1f}">{number}</text>')
    for tick in x.ticks:
        across, _ = _place((tick, y.low), x, y)
        if across < WIDTH - RIGHT - 36:  # the axis's name stands at its end
            rows.append(
                f'<text class="along" x="{across:.1f}" y="{HEIGHT - BOTTOM + 18}">{tick:g}</text>'
            )
    return "".join(rows)


def _place(point: Point, x: Axis, y: Axis) -> tuple[float, float]:
    across = LEFT + x.share(point[0]) * (WIDTH - LEFT - RIGHT)
    return across, HEIGHT - BOTTOM - y.share(point[1]) * (HEIGHT - TOP - BOTTOM)


def _round_step(least: float) -> float:
    """The next larger of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))


def _number(value: float, *, percent: bool) -> str:
    return f"{100 * value:.4g} %" if percent else f"{value:.3g}"
