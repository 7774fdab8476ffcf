"""P8, at length: whenever the supervisor is killed, `up` takes over what runs, and `down` leaves nothing."""

from __future__ import annotations

import os
import random

import pytest

from tests.e2e.conftest import Make
from tests.faults.dying import STACK, Deaths
from tests.faults.table import Case, Row, cases

UPS = int(os.environ.get("LAUNCHPAD_DEATHS", "12"))
"""How often, all parts together; `down` half as often. `scripts/deaths` asks for more."""
PARTS = 4
HOW = "SIGKILL within a start, a reload, a stop, a `down`, a rotation, or in peace"
THEN_UP, THEN_DOWN = cases(
    [
        Case("supervisor", "SIGKILL at a random moment, then `up`", HOW),
        Case("supervisor", "SIGKILL at a random moment, then `down`", HOW),
    ]
)


@pytest.mark.heavy
@pytest.mark.timeout(max(120, UPS * 10))
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("case", [THEN_UP, THEN_DOWN], ids=["up", "down"])
def test_p8_killed_at_random_moments(
    make_stack: Make, pytestconfig: pytest.Config, row: Row, case: Case, part: int
) -> None:
    seed = pytestconfig.getoption("--seed") or random.randrange(1 << 32)
    print(f"seed {seed} (replay: --seed {seed})")
    row.case = case
    run = Deaths(make_stack(STACK), f"{seed} {case.fault} {part}", row)
    for _ in range(UPS // PARTS // (1 if case is THEN_UP else 2)):
        run.round(then_up=case is THEN_UP)
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)
