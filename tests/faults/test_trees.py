"""Six shapes of process tree, ended in four ways: nobody survives."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import uuid

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, alive, eventually
from tests.faults.table import Case, Row, cases, gone

SHAPES = {
    "a plain group": ("PRETEND --fork plain --pids pids", 2),
    "a leader that exits first": ("PRETEND --ignore-term --fork plain --fork leader-exits --pids pids", 2),
    "setsid": ("PRETEND --fork setsid --pids pids", 2),
    "a double fork": ("PRETEND --fork double --pids pids", 2),
    "deaf to SIGTERM": ("PRETEND --ignore-term --fork plain --fork setsid --pids pids", 3),
    "a bomb of 200": ("PRETEND --fork bomb:200 --pids pids", 201),
}
WAYS = {
    "`down`": "`down`",
    "Ctrl-C": "SIGINT to `up`",
    "a reload that removes it": "the service is taken out of the file",
    "SIGKILL of the supervisor, then `down`": "SIGKILL; `down`",
}
COMBINED = list(itertools.product(SHAPES, WAYS))
TREES = cases([Case("trees", f"{shape}: {way}", WAYS[way]) for shape, way in COMBINED])


def begin(stack: Stack, count: int) -> list[int]:
    """Everything that the tree consists of, once it is all there."""
    stack.start("up")
    file = stack.folder / "pids"
    eventually(lambda: file.exists() and len(file.read_text().split()) >= count - 1, "it is all there")
    stack.wait_for(
        lambda s: any(v.name == "tree" and v.state in ("ready", "starting", "stopping") for v in s.services)
    )
    return [int(pid) for pid in file.read_text().split()]


def end(stack: Stack, way: str) -> None:
    up = stack.started[-1]
    if way == "`down`":
        stack.cli("down", check=0)
    elif way == "Ctrl-C":
        up.send_signal(signal.SIGINT)
        up.wait(60)
    elif "reload" in way:
        stack.write("servers: {other: {command: PRETEND}}")
        stack.wait_for(lambda s: [v.name for v in s.services if v.pid] == ["other"])
    else:
        up.send_signal(signal.SIGKILL)
        up.wait(60)
        stack.cli("down", check=0)


@pytest.mark.xdist_group("heavy")
@pytest.mark.parametrize(
    ("shape", "way", "case"), [(*both, case) for both, case in zip(COMBINED, TREES, strict=True)]
)
def test_tree(make_stack: Make, row: Row, shape: str, way: str, case: Case) -> None:
    row.case = case
    command, count = SHAPES[shape]
    grace = "5s" if "leader" in shape else "300ms"  # what it leaves behind is ended: so long it can be seen
    stack = make_stack(
        f"""
        servers:
          tree: {{command: "{command}", stop_grace: {grace}, restart: never}}
          other: {{command: PRETEND}}
        """
    )
    pids = begin(stack, count)
    assert len(stack.survivors()) >= count, "it was all there"
    with row.recovers():
        end(stack, way)
        row.survivors = sum(map(alive, pids))
    if "reload" in way:
        left = [line for line in stack.survivors().values() if "--fork" in line]
        row.survivors += len(left)
        stack.cli("down", check=0)
        stack.started[-1].wait(60)
    row.survivors += len(stack.survivors())
    assert row.survivors == 0


HIDING = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2): os.dup2(null, fd)
        os.execve(sys.executable, [sys.executable, "-c", "import os, time; open('hidden', 'w').write(str(os.getpid())); time.sleep(600)"], {})
    os._exit(0)
os.wait()
time.sleep(600)
"""


def cgroups_can_be_made() -> bool:
    """Asked by a process of its own: it would take this one along."""
    code = "import os, sys; from launchpad.hosts.local import cgroup; group = cgroup.Group(sys.argv[1]); group.entered(); there = cgroup.runs_of(os.getpid()); group.leave(); sys.exit(not there)"
    return subprocess.run([sys.executable, "-c", code, uuid.uuid4().hex], check=False).returncode == 0


HIDDEN = cases(
    [
        Case(
            "trees",
            "a daemon that hides: `down`",
            "double fork, setsid, empty environment, output to /dev/null; `down`",
        ),
        Case(
            "trees",
            "a daemon that hides: SIGKILL of the supervisor, then `down`",
            "the same; SIGKILL; `down`",
        ),
    ]
)


@pytest.mark.parametrize("case", HIDDEN, ids=["down", "killed"])
def test_hiding(make_stack: Make, row: Row, case: Case) -> None:
    row.case = case
    stack = make_stack("servers: {tree: {command: [" + sys.executable + ", hide.py], stop_grace: 300ms}}")
    (stack.folder / "hide.py").write_text(HIDING)
    up = stack.start("up")
    file = stack.folder / "hidden"
    eventually(lambda: file.exists() and file.read_text(), "it hides")
    pid = int(file.read_text())
    try:
        if "SIGKILL" in case.fault:
            up.send_signal(signal.SIGKILL)
            gone(up.pid)
        stack.cli("down", check=0)
        row.survivors = int(alive(pid)) + len(stack.survivors())
        row.outcome = "ended" if not row.survivors else "the known hole: no cgroup could be made"
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    if "SIGKILL" not in case.fault or cgroups_can_be_made():
        assert row.survivors == 0
