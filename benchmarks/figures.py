"""Statistics, as the tables need them: median, spread, percentile, ratio, exponent. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    median: float
    low: float
    """The 10th percentile, and..."""
    high: float
    """...the 90th: the spread."""
    p95: float
    count: int


def figure(values: Sequence[float]) -> Figure | None:
    if not values:
        return None
    part = [percentile(values, p) for p in (10, 90, 95)]
    return Figure(statistics.median(values), part[0], part[1], part[2], len(values))


def percentile(values: Sequence[float], p: float) -> float:
    """Between two neighbours in proportion; of a single value that value."""
    row = sorted(values)
    place = (len(row) - 1) * p / 100
    below = math.floor(place)
    above = min(below + 1, len(row) - 1)
    return row[below] + (row[above] - row[below]) * (place - below)


def ratio(value: float, to: float) -> float | None:
    """None where there is nothing to compare with."""
    return value / to if to > 0 else None


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """k of y = a x^k by least squares over the logarithms; None with fewer than two points."""
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len({x for x, _ in logs}) < 2:
        return None
    slope, _ = statistics.linear_regression([x for x, _ in logs], [y for _, y in logs])
    return slope
