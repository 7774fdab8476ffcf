"""Backoff: exponential, capped, spread repeatably, and never a number that cannot be."""

from __future__ import annotations

import pytest

from launchpad.core.model import Restart
from launchpad.core.restarts import SPREAD, backoff_s


@pytest.mark.parametrize(("deaths", "plain"), [(0, 0.5), (1, 0.5), (2, 1.0), (4, 4.0), (7, 30.0), (50, 30.0)])
def test_backoff_grows_to_its_cap(deaths: int, plain: float) -> None:
    waits = [backoff_s(Restart(), "llm", deaths, attempt) for attempt in range(200)]
    assert all(plain <= wait < plain * (1 + SPREAD) for wait in waits)


def test_backoff_is_spread_and_repeatable() -> None:
    waits = [backoff_s(Restart(), name, 1, 7) for name in ("a", "b", "c", "d")]
    assert len({*waits}) == 4
    assert waits == [backoff_s(Restart(), name, 1, 7) for name in ("a", "b", "c", "d")]


def test_backoff_after_very_many_deaths() -> None:
    restart = Restart(initial_s=0.001, max_s=2.0, factor=10.0, max_restarts=10**6)
    assert 2.0 <= backoff_s(restart, "llm", 100_000, 1) < 2.0 * (1 + SPREAD)
