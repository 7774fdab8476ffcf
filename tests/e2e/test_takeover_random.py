"""Supervisors that are killed at random moments: afterwards `up` leaves no twin, and `down` nothing at all."""

from __future__ import annotations

import os
import random

import pytest

from tests.e2e.conftest import Make
from tests.e2e.deaths import STACK, Deaths

DEATHS = 40
"""By default; LAUNCHPAD_DEATHS asks for more."""


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_p8_killed_at_random_moments(make_stack: Make, pytestconfig: pytest.Config) -> None:
    deaths = int(os.environ.get("LAUNCHPAD_DEATHS", DEATHS))
    seed = pytestconfig.getoption("--seed") or random.randrange(1 << 32)
    print(f"seed {seed} (replay: --seed {seed})")
    run = Deaths(make_stack(STACK), seed)
    while run.rounds < deaths:
        run.round()
