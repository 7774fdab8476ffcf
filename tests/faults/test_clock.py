"""The wall clock jumps. Nothing may be decided by it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, eventually
from tests.faults.table import TALKING, Case, Drill, Row, cases

HOUR_S = 3600
JUMPS = cases(
    [
        Case(
            "clock",
            "the wall clock jumps an hour ahead",
            "a faked clock under the supervisor; a backoff and a deadline run meanwhile",
        ),
        Case("clock", "the wall clock jumps an hour back", "the same, the other way"),
    ]
)
PATCH = """
import os, time
_file, _time, _time_ns = os.environ.get("FAKED_CLOCK"), time.time, time.time_ns
def _shift():
    try:
        return int(open(_file).read().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
if _file:
    time.time = lambda: _time() + _shift()
    time.time_ns = lambda: _time_ns() + _shift() * 10**9
"""


def faked(folder: Path) -> tuple[Path, dict[str, str]]:
    """A file that says by how many seconds the clock of every Python program is wrong, and the environment
    that makes it so."""
    clock = folder / "clock"
    clock.write_text("0\n")
    (folder / "python").mkdir()
    (folder / "python" / "sitecustomize.py").write_text(PATCH)
    return clock, {"FAKED_CLOCK": str(clock), "PYTHONPATH": str(folder / "python")}


@pytest.mark.parametrize("case", JUMPS, ids=["ahead", "back"])
def test_clock_jumps(make_stack: Make, row: Row, case: Case) -> None:
    row.case = case
    stack = make_stack(
        f"""{TALKING.rstrip()}
      fails: {{command: "sh -c 'sleep 0.2; exit 1'", backoff: {{initial: 1s, max: 1s}}, max_restarts: 50}}
      never: {{command: PRETEND, ready: {{file: ready, timeout: 10m, interval: 200ms}}}}
"""
    )
    clock, environ = faked(stack.folder)
    stack.environ.update(environ)
    stack.start("up", "-d")
    stack.wait_for(lambda s: sum(v.state == "ready" for v in s.services) >= 3)
    drill = Drill(stack, row).look()
    restarts = restarts_of(stack)
    clock.write_text(f"{HOUR_S if 'ahead' in case.fault else -HOUR_S}\n")
    assert abs(wall(environ) - time.time()) > HOUR_S - 60, "it is faked"
    drill.works()
    eventually(lambda: restarts_of(stack) >= restarts + 3, "backoff goes on by the second")
    never = next(v for v in stack.client.status().services if v.name == "never")
    assert never.state == "starting", "a deadline of ten minutes is not over"
    (stack.folder / "ready").touch()
    with row.recovers():
        stack.wait_state("never", "ready")
    row.outcome = "backoff and deadlines run on"
    drill.pids.pop("fails", None)
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


def wall(environ: dict[str, str]) -> float:
    """What a Python program takes for the time."""
    command = [sys.executable, "-c", "import time; print(time.time())"]
    return float(
        subprocess.run(command, env={**os.environ, **environ}, capture_output=True, check=True).stdout
    )


def restarts_of(stack: Stack) -> int:
    return next(v.restarts for v in stack.client.status().services if v.name == "fails")
