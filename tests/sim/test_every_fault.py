"""Every single fault, and a spread of pairs of faults, in one well-known course of events."""

from __future__ import annotations

import itertools

import pytest

from tests.sim import every_fault

PAIRS = 400


def test_the_course_is_long_enough() -> None:
    assert every_fault.points() > 60


@pytest.mark.parametrize("way", every_fault.WAYS)
def test_every_single_fault(way: str) -> None:
    for point in range(every_fault.points()):
        every_fault.run({point: way})


def test_pairs_of_faults() -> None:
    """Not all of the many thousand: evenly spread ones, the same each time."""
    singles = [(point, way) for point in range(every_fault.points()) for way in every_fault.WAYS]
    pairs = [pair for pair in itertools.combinations(singles, 2) if pair[0][0] != pair[1][0]]
    step = max(1, len(pairs) // PAIRS)
    for one, other in pairs[step // 2 :: step | 1]:
        every_fault.run(dict((one, other)))
