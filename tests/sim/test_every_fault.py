"""Single faults and a spread of pairs in a long course of events, and every pair in a short one; of each a part in each run
of the tests (`tests.samples`)."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.samples import count, some
from tests.sim import every_fault

PAIRS = 200
PARTS = 8
"""For several workers."""
LEAST = 800
"""Pairs in each part; they are not equal, since a fault can make the rest of the course longer."""


def test_the_course_is_long_enough() -> None:
    assert every_fault.points() > 60


@pytest.mark.parametrize("way", every_fault.WAYS)
def test_every_single_fault(way: str) -> None:
    points = range(every_fault.points())
    for point in some(points, count(len(points) // 3, len(points))):
        every_fault.run({point: way})


def test_pairs_of_faults() -> None:
    """Not all of the many thousand: evenly spread ones, the same each time."""
    pairs = every_fault.pairs(every_fault.Course)
    step = max(1, len(pairs) // PAIRS)
    for breaks in pairs[step // 2 :: step | 1]:
        every_fault.run(breaks)


def every_pair(part: int, *mutant: str) -> Any:
    command = [sys.executable, "-m", "tests.sim.every_pair", str(part), str(PARTS), *mutant]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


@pytest.mark.parametrize("part", some(range(PARTS), 2))
def test_every_pair_of_faults(part: int) -> None:
    """Over 10,000 in all, none of which is the same as a single fault."""
    found = every_pair(part)
    for one in found["broken"]:
        every_fault.run({int(point): way for point, way in one["broken"].items()}, every_fault.Short)
    assert not found["broken"]
    assert found["runs"][2] > LEAST


def test_what_is_broken_is_told() -> None:
    found = every_pair(1, "starts without its ports")["broken"]
    assert found
    assert all(len(one["broken"]) <= 2 and one["why"] for one in found)
