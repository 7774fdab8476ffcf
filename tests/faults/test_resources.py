"""What the machine has no more of: descriptors, processes, inotify instances, programs."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import LAUNCHPAD, Stack, eventually
from tests.faults.table import TALKING, Drill, Row, fault

AREA = "resources"
PIDS = Path("/sys/fs/cgroup/pids")


@fault(
    AREA,
    "descriptors used up",
    "RLIMIT_NOFILE of the supervisor set to what it has open; `restart`; limit back",
)
def test_descriptors(make_stack: Make, row: Row) -> None:
    drill = Drill(make_stack(TALKING), row).begin()
    stack, pid = drill.stack, drill.supervisor
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    stack.client.status()
    stack.cli("restart", "other", check=0)  # what is imported late is there now
    stack.wait_state("other", "ready")
    drill.look()
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = next(number for number in range(3, 1 << 20) if number not in taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free + 1, before[1]))  # one, for the question itself
    try:
        client = stack.client
        client.restart(["other"])
        eventually(lambda: not Path(f"/proc/{drill.pids['other']}").exists(), "the old one has ended")
        drill.works()
        stack.wait_state("other", "backoff", "failed", "ready")
        row.outcome = told(stack)
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    with row.recovers():
        stack.wait_state("other", "ready")
    drill.pids.pop("other")
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@contextmanager
def few_pids(pid: int, more: int) -> Iterator[None]:
    """The supervisor, and what it starts from now on, in a cgroup that allows so many tasks beyond its own."""
    group = PIDS / f"launchpad-test-{uuid.uuid4().hex[:8]}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error.strerror}")
    try:
        (group / "cgroup.procs").write_text(str(pid))
        (group / "pids.max").write_text(str(int((group / "pids.current").read_text()) + more))
        yield
        (group / "pids.max").write_text("max")
    finally:
        for task in (group / "cgroup.procs").read_text().split():
            (PIDS / "cgroup.procs").write_text(task)
        eventually(lambda: not (group / "cgroup.procs").read_text(), "it is empty")
        group.rmdir()


@fault(AREA, "no more processes", "a pids cgroup at its limit around the supervisor; `restart`; limit off")
def test_pids(make_stack: Make, row: Row) -> None:
    drill = Drill(make_stack(TALKING), row).begin()
    stack = drill.stack
    with few_pids(drill.supervisor, 0):
        stack.client.restart(["other"])
        stack.wait_state("other", "backoff")
        drill.works()
        row.outcome = told(stack)
    with row.recovers():
        stack.wait_state("other", "ready")
    drill.pids.pop("other")
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


def told(stack: Stack) -> str:
    view = next(v for v in stack.client.status().services if v.name == "other")
    holds = "; ".join(hold.text for hold in view.holds)
    return f"`restart` meanwhile: {view.state} ({holds})" if holds else f"`restart` meanwhile: {view.state}"


@fault(
    AREA,
    "a start fails half-way through a stack",
    "five in a row, the third has no program; mended by an edit",
)
def test_half_way(make_stack: Make, row: Row) -> None:
    text = """
        servers:
          counts: {command: PRETEND --spam-rate 100KB/s}
          b: {command: PRETEND, depends_on: [counts]}
          c: {command: /no/such/program, depends_on: [b]}
          d: {command: PRETEND, depends_on: [c]}
          e: {command: PRETEND, depends_on: [d]}
    """
    stack = make_stack(text)
    done = stack.up(check=1)
    assert "error[E502]" in done.stderr
    drill = Drill(stack, row).look()
    assert set(drill.pids) == {"counts", "b"}
    with row.recovers():
        stack.write(text.replace("/no/such/program", "PRETEND"))
        stack.wait_up()
    row.outcome = "what ran runs on, the rest is started by the edit"
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@fault(
    AREA,
    "the machine has no inotify left",
    "a user namespace with no inotify instances; an edit; a sink",
)
def test_inotify(make_stack: Make, row: Row) -> None:
    stack = make_stack(TALKING.replace("200KB/s}", "200KB/s, output: {file: copy.txt}}"))
    if (
        not shutil.which("unshare")
        or subprocess.run(
            ["unshare", "-Ur", "sh", "-c", "echo 0 > /proc/sys/user/max_inotify_instances"],
            check=False,
            capture_output=True,
        ).returncode
    ):
        pytest.skip("no user namespace can be made here")
    up = subprocess.Popen(
        [
            "unshare",
            "-Ur",
            "sh",
            "-c",
            'echo 0 > /proc/sys/user/max_inotify_instances; exec "$@"',
            "-",
            *LAUNCHPAD,
            "up",
        ],
        cwd=stack.folder,
        env=stack.environ,
        stdin=subprocess.DEVNULL,
        stdout=(stack.folder / "out0.txt").open("w"),
        stderr=(stack.folder / "err0.txt").open("w"),
        text=True,
    )
    stack.started.append(up)
    stack.wait_up()
    drill = Drill(stack, row).look()
    drill.works()
    copy = stack.folder / "copy.txt"
    eventually(lambda: copy.exists() and copy.stat().st_size > 100_000, "the sink is written")
    with row.recovers():
        stack.write(stack.file.read_text().replace("--name other", "--name another"))
        stack.wait_for(
            lambda s: any(v.name == "other" and v.pid not in (None, drill.pids["other"]) for v in s.services)
        )
    drill.pids.pop("other")
    row.outcome = "files are looked at by a timer instead"
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@fault(
    AREA,
    "the program is replaced while it is written",
    "the program's file is open for writing at the start, then closed",
)
def test_text_busy(make_stack: Make, row: Row) -> None:
    stack = make_stack(
        "servers: {llm: {command: ./program 600, backoff: {initial: 50ms, max: 200ms}, max_restarts: 500}}"
    )
    program = stack.folder / "program"
    sleep = shutil.which("sleep")
    assert sleep
    shutil.copy(sleep, program)
    with program.open("r+b"):
        stack.start("up", "-d")
        stack.wait_state("llm", "backoff")
    with row.recovers():
        stack.wait_state("llm", "ready")
    Drill(stack, row).look().end(counts=False)
    assert row.survivors == 0
