"""Every single fault, and a spread of pairs of faults, in one well-known course of events."""

from __future__ import annotations

import pytest

from tests.sim import every_fault

PAIRS = 400
PARTS = 8
"""For several workers."""


def test_the_course_is_long_enough() -> None:
    assert every_fault.points() > 60


@pytest.mark.parametrize("way", every_fault.WAYS)
def test_every_single_fault(way: str) -> None:
    for point in range(every_fault.points()):
        every_fault.run({point: way})


def test_pairs_of_faults() -> None:
    """Not all of the many thousand: evenly spread ones, the same each time."""
    pairs = every_fault.pairs(every_fault.Course)
    step = max(1, len(pairs) // PAIRS)
    for breaks in pairs[step // 2 :: step | 1]:
        every_fault.run(breaks)


def test_there_are_enough_pairs() -> None:
    assert len(every_fault.pairs(every_fault.Short)) > 10_000


@pytest.mark.parametrize("part", range(PARTS))
def test_every_pair_of_faults(part: int) -> None:
    """All of them, in a shorter course."""
    for breaks in every_fault.pairs(every_fault.Short)[part::PARTS]:
        every_fault.run(breaks, every_fault.Short)
