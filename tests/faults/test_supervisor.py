"""What is done to the supervisor, and what its services notice of it."""

from __future__ import annotations

import os
import signal
import subprocess

from tests.e2e.conftest import Make
from tests.e2e.harness import alive, eventually, get
from tests.faults.table import TALKING, Drill, Row, fault, gone

AREA = "supervisor"
CRASHING = """\
      crash:
        command: [sh, -c, "echo once; exit 1"]
        backoff: {initial: 1ms, max: 1ms}
        max_restarts: 999
        window: 1h
"""


@fault(AREA, "stopped for a while, then continued", "SIGSTOP; the server is asked; SIGCONT")
def test_stopped(make_stack: Make, row: Row) -> None:
    drill = Drill(make_stack(TALKING), row).begin()
    os.kill(drill.supervisor, signal.SIGSTOP)
    try:
        for _ in range(10):
            drill.works()
    finally:
        os.kill(drill.supervisor, signal.SIGCONT)
    with row.recovers():
        drill.stack.cli("restart", "other", check=0)
        drill.stack.wait_state("other", "ready")
    drill.pids.pop("other")
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@fault(AREA, "a service ends while it is stopped", "SIGSTOP; SIGKILL to the service; SIGCONT")
def test_missed_end(make_stack: Make, row: Row) -> None:
    drill = Drill(make_stack(TALKING), row).begin()
    os.kill(drill.supervisor, signal.SIGSTOP)
    try:
        os.kill(drill.pids["other"], signal.SIGKILL)
        gone(drill.pids["other"])
    finally:
        os.kill(drill.supervisor, signal.SIGCONT)
    with row.recovers():
        drill.stack.wait_for(
            lambda s: any(v.name == "other" and v.state == "ready" and v.restarts for v in s.services)
        )
    drill.pids.pop("other")
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@fault(AREA, "SIGKILL, then `down`", "SIGKILL to the supervisor; the server is asked; `down`")
def test_killed(make_stack: Make, row: Row) -> None:
    drill = Drill(make_stack(TALKING), row).begin()
    os.kill(drill.supervisor, signal.SIGKILL)
    gone(drill.supervisor)
    drill.works()
    drill.count()
    with row.recovers():
        drill.stack.cli("down", check=0)
    drill.over()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@fault(AREA, "SIGKILL under `when_supervisor_dies: stop`", "SIGKILL to the supervisor")
def test_killed_under_guard(make_stack: Make, row: Row) -> None:
    drill = Drill(make_stack(f"\n    when_supervisor_dies: stop{TALKING}"), row).begin()
    os.kill(drill.supervisor, signal.SIGKILL)
    with row.recovers():
        eventually(lambda: not drill.stack.survivors(), "the keeper has ended it")
    drill.over()
    assert row.survivors == 0


@fault(
    AREA,
    "SIGKILL in the middle of a start",
    "SIGKILL as soon as the first of 8 runs; `down`",
)
def test_killed_while_starting(make_stack: Make, row: Row) -> None:
    row.tries = 5
    for turn in range(row.tries):
        names = "".join(f"\n      s{n}: {{command: PRETEND}}" for n in range(8))
        stack = make_stack(f"\n    servers:{names}\n", folder=f"t{turn}")
        up = stack.start("up")
        stack.wait_for(lambda s: any(v.pid for v in s.services))
        up.send_signal(signal.SIGKILL)
        up.wait()
        stack.cli("down", check=0)
        row.survivors += len(stack.survivors())
    assert row.survivors == 0


@fault(AREA, "two `up` within one moment", "three `up -d` of one stack at once")
def test_several_ups(make_stack: Make, row: Row) -> None:
    row.tries = 3
    for turn in range(row.tries):
        stack = make_stack(
            "servers: {llm: {command: PRETEND --mark marks --name llm, port: auto, ready: /health}}",
            folder=f"t{turn}",
        )
        ups = [stack.start("up", "-d") for _ in range(3)]
        assert [up.wait(60) for up in ups] == [0, 0, 0], [stack.output(n) for n in range(3)]
        assert len(stack.marks_of("llm", "start")) == 1, "started once"
        Drill(stack, row).look().end(counts=False)
    assert row.survivors == 0


@fault(AREA, "`down` during `up`", "`down` as soon as something runs, and once before")
def test_down_during_up(make_stack: Make, row: Row) -> None:
    row.tries = 6
    for turn in range(row.tries):
        stack = make_stack(
            """
            servers:
              a: {command: PRETEND, port: auto, ready: /health}
              b: {command: PRETEND --ready-after 20s, port: auto, ready: /health, depends_on: [a]}
            """,
            folder=f"t{turn}",
        )
        up = stack.start("up", "-d")
        if turn % 2:
            eventually(stack.survivors, "it has begun")
        else:
            stack.wait_for(lambda s: any(v.pid for v in s.services))
        stack.cli("down", check=0)
        if turn % 2:  # it may have come before there was anything to end
            up.send_signal(signal.SIGINT)
            up.wait(60)
            stack.cli("down", check=0)
        assert up.wait(60) is not None
        row.survivors += len(stack.survivors())
    assert row.survivors == 0


@fault(AREA, "its console is stalled", "`up` whose stdout nobody reads; 100 pages of 300 KB are printed")
def test_console_stalled(make_stack: Make, row: Row) -> None:
    stack = make_stack(TALKING)
    up = stack.start("up", stdout=subprocess.PIPE)
    stack.wait_up()
    drill = Drill(stack, row).look()
    for _ in range(100):
        drill.works()
    drill.count()
    with row.recovers():
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 130
    drill.over()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@fault(AREA, "its console is closed", "`up | head -1`")
def test_console_closed(make_stack: Make, row: Row) -> None:
    stack = make_stack(TALKING)
    up = stack.start("up", stdout=subprocess.PIPE)
    stack.wait_up()
    drill = Drill(stack, row).look()
    assert up.stdout
    up.stdout.readline()
    up.stdout.close()
    for _ in range(20):
        drill.works()
    assert alive(drill.supervisor), "services need no console"
    drill.count()
    with row.recovers():
        up.send_signal(signal.SIGINT)
        up.wait(60)
    drill.over()
    assert "Traceback" not in stack.output()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@fault(AREA, "its control socket is deleted", "the file is removed; it is made again within 5 seconds")
def test_socket_deleted(make_stack: Make, row: Row) -> None:
    drill = Drill(make_stack(TALKING), row).begin()
    path = drill.stack.client.socket_path
    path.unlink()
    drill.works()
    with row.recovers():
        eventually(path.exists, "it is made again")
        assert drill.stack.client.status().pid == drill.supervisor
    assert set(drill.stack.ps()) == set(drill.pids)
    drill.end()
    gone(drill.supervisor, "the supervisor has left as well")
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@fault(AREA, "Ctrl-C twice", "SIGINT twice while a deaf service has a grace of a minute")
def test_two_interrupts(make_stack: Make, row: Row) -> None:
    stack = make_stack(
        "servers: {deaf: {command: PRETEND --ignore-term --mark marks --name deaf, stop_grace: 60s}}"
    )
    up = stack.start("up")
    stack.first("deaf", "ready")  # it is deaf by now
    with row.recovers():
        up.send_signal(signal.SIGINT)
        stack.wait_state("deaf", "stopping")
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 130
    row.survivors = len(stack.survivors())
    assert row.survivors == 0


@fault(
    AREA,
    "a crash loop of a thousand",
    "a command that fails at once, started again at once, 1000 times; a server beside it",
)
def test_crash_loop(make_stack: Make, row: Row) -> None:
    row.tries = 1000
    stack = make_stack(f"{TALKING.rstrip()}\n{CRASHING}")
    stack.start("up", "-d")
    stack.wait_state("crash", "failed", timeout=110)
    drill = Drill(stack, row).look()
    assert stack.ps()["crash"]["restarts"] == 999
    journal = (stack.folder / ".launchpad/stack.yaml/events.jsonl").read_bytes()
    row.outcome = f"journal {len(journal) // 1000} KB, log {stack.log('crash').stat().st_size} bytes"
    assert stack.log("crash").read_bytes() == b"once\n" * 1000
    assert len(journal) < 8 << 20
    assert get(f"{drill.url}/health").status_code == 200
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)
