"""Supervisors that are killed at random moments: afterwards `up` leaves no twin, and `down` nothing at all."""

from __future__ import annotations

import os
import random

import pytest

from tests.e2e.conftest import Make
from tests.e2e.deaths import STACK, Deaths

DEATHS = int(os.environ.get("LAUNCHPAD_DEATHS", "40"))
"""All parts together; `scripts/deaths` asks for more."""
PARTS = 4


@pytest.mark.heavy
@pytest.mark.timeout(max(120, DEATHS * 10))
@pytest.mark.parametrize("part", range(PARTS))
def test_p8_killed_at_random_moments(make_stack: Make, pytestconfig: pytest.Config, part: int) -> None:
    seed = pytestconfig.getoption("--seed") or random.randrange(1 << 32)
    print(f"seed {seed} (replay: --seed {seed})")
    run = Deaths(make_stack(STACK), f"{seed} {part}")
    while run.rounds < DEATHS // PARTS:
        run.round()
