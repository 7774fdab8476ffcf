"""Pictures as SVG text: bars with their spread, and lines, on a logarithmic axis. Knows no scenario."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.figures import Figure

COLOURS = {"launchpad": "#2563eb", "peer": "#9ca3af", "limit": "#d97706"}
LINES = (
    "#2563eb",
    "#d97706",
    "#059669",
    "#dc2626",
    "#7c3aed",
    "#0891b2",
    "#65a30d",
    "#be185d",
    "#57534e",
    "#ca8a04",
)
WIDTH, LEFT, RIGHT, ROW, TOP, BOTTOM = 760, 250, 90, 22, 46, 34
STYLE = "font-family='system-ui, sans-serif' font-size='12' fill='#1f2937'"


@dataclass(frozen=True)
class Bar:
    label: str
    kind: str
    figure: Figure


class Axis:
    """Whole powers of ten around the values, from one pixel to another."""

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        positive = [value for value in values if value > 0] or [1.0]
        self.low = math.floor(math.log10(min(positive)))
        self.high = max(math.ceil(math.log10(max(positive))), self.low + 1)
        self._first, self._last = first, last

    def at(self, value: float) -> float:
        """The pixel of a value; what is zero or less lies at the beginning."""
        share = 0.0 if value <= 0 else (math.log10(value) - self.low) / (self.high - self.low)
        return self._first + max(0.0, share) * (self._last - self._first)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """The shortest on top."""
    ordered = sorted(rows, key=lambda bar: bar.figure.median)
    ends = [value for bar in ordered for value in (bar.figure.median, bar.figure.low, bar.figure.high)]
    axis = Axis(ends, LEFT, WIDTH - RIGHT)
    height = TOP + ROW * len(ordered) + BOTTOM
    parts = [text(10, 22, f"{title} ({unit}, logarithmic)", "start", "font-weight='600'")]
    parts += [grid(axis.at(tick), TOP, height - BOTTOM, number(tick)) for tick in axis.ticks()]
    for index, bar in enumerate(ordered):
        y, figure = TOP + ROW * index, bar.figure
        end = axis.at(figure.median)
        parts.append(text(LEFT - 8, y + 15, bar.label, "end"))
        parts.append(
            f"<rect x='{LEFT}' y='{y + 4}' width='{max(1.0, end - LEFT):.1f}' height='14' fill='{COLOURS[bar.kind]}'/>"
        )
        low, high = axis.at(figure.low), axis.at(figure.high)
        parts.append(f"<path d='M{low:.1f} {y + 11}H{high:.1f}' stroke='#111827' stroke-width='1.5'/>")
        parts.append(text(max(end, high) + 6, y + 15, number(figure.median), "start"))
    return picture(height, parts)


def lines(title: str, unit: str, series: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> str:
    """Points of (number of services, value); both axes are logarithmic."""
    height = 380
    points = [point for _, row in series for point in row]
    across = Axis([x for x, _ in points], 70, WIDTH - 190)
    up = Axis([y for _, y in points], height - BOTTOM, TOP)
    parts = [
        text(
            10, 22, f"{title} ({unit}) by number of services, both logarithmic", "start", "font-weight='600'"
        )
    ]
    parts += [grid(across.at(tick), TOP, height - BOTTOM, number(tick)) for tick in across.ticks()]
    parts += [level(up.at(tick), 70, WIDTH - 190, number(tick)) for tick in up.ticks()]
    ends: list[float] = []
    for index, (label, row) in enumerate(series):
        if not row:
            continue
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in row)
        colour = LINES[index % len(LINES)]
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
        y = apart(up.at(row[-1][1]), ends)
        parts.append(text(across.at(row[-1][0]) + 8, y + 4, label, "start", f"style='fill:{colour}'"))
    return picture(height, parts)


def apart(y: float, taken: list[float]) -> float:
    """The nearest height at which no other label lies."""
    for step in range(100):
        for place in (y - 13 * step, y + 13 * step):
            if all(abs(place - other) >= 13 for other in taken):
                taken.append(place)
                return place
    return y


def picture(height: int, parts: Sequence[str]) -> str:
    size = f"width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}'"
    inner = "\n".join(parts)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' {size} {STYLE}>\n"
        f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>\n{inner}\n</svg>\n"
    )


def text(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {more}>{escape(words)}</text>"


def grid(x: float, top: float, bottom: float, label: str) -> str:
    line = f"<path d='M{x:.1f} {top}V{bottom}' stroke='#e5e7eb'/>"
    return line + text(x, bottom + 18, label, "middle")


def level(y: float, first: float, last: float, label: str) -> str:
    return f"<path d='M{first} {y:.1f}H{last}' stroke='#e5e7eb'/>" + text(first - 6, y + 4, label, "end")


def number(value: float) -> str:
    """Three digits that count, without an exponent: 0.013, 1.5, 12, 1,234."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    shown = f"{value:,.{digits}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
