"""Random stacks, plans and faults. A failure prints its seed and all that happened; `--seed N` replays one.

`--swarm-seconds S` bounds the search for new seeds; the first few are the same in each run.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.sim import swarm

FIXED = 150
TRACED = 25


def test_fixed_seeds(request: pytest.FixtureRequest) -> None:
    given = request.config.getoption("--seed")
    for seed in (given,) if given is not None else range(FIXED):
        swarm.one(seed)


def test_new_seeds(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """As many as fit; where they begin is drawn, so that each run looks elsewhere."""
    if request.config.getoption("--seed") is not None:
        pytest.skip("one seed was asked for")
    budget_s = request.config.getoption("--swarm-seconds")
    first = random.SystemRandom().randrange(10**9)
    start, count = time.monotonic(), 0
    while time.monotonic() - start < budget_s:
        swarm.one(first + count)
        count += 1
    rate = count / max(1e-9, time.monotonic() - start)
    record_property("schedules", count)
    print(f"swarm: {count} schedules from seed {first}, {rate:.0f} a second")
    assert count > 0 or budget_s == 0


def traces() -> str:
    """A digest of everything that happened in some schedules."""
    whole = hashlib.sha256()
    for seed in range(TRACED):
        schedule = swarm.Schedule(seed)
        schedule.run()
        whole.update(schedule.world.transcript().encode())
    return whole.hexdigest()


def test_traces_do_not_depend_on_the_hash_seed() -> None:
    """Two interpreters that order sets of strings differently see exactly the same."""
    code = "from tests.sim.test_swarm import traces; print(traces())"
    found = []
    for hash_seed in ("1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100
        )
        assert run.returncode == 0, run.stderr
        found.append(run.stdout)
    assert found[0] == found[1] != ""


def test_a_broken_promise_names_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(schedule: swarm.Schedule) -> None:
        raise AssertionError("on purpose")

    monkeypatch.setattr(swarm.Schedule, "run", fails)
    with pytest.raises(AssertionError, match="--seed 77"):
        swarm.one(77)
