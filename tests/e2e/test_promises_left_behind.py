"""P2: nothing is left behind, whatever the program does to its processes and however the stack ends."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, alive, eventually

SHAPES = {
    "plain child": ("PRETEND --fork plain --pids pids", 1),
    "setsid child": ("PRETEND --fork setsid --pids pids", 1),
    "double fork": ("PRETEND --fork double --pids pids", 1),
    "deaf to SIGTERM": ("PRETEND --ignore-term", 0),
    "all deaf, all sessions": (
        "PRETEND --ignore-term --fork plain --fork setsid --fork double --pids pids",
        3,
    ),
    "tree of 24, every other one in its own session": ("PRETEND --fork bomb:24 --pids pids", 24),
    "deaf tree of 24": ("PRETEND --ignore-term --fork bomb:24 --pids pids", 24),
    "wrapper": ("PRETEND --fork wrapper --fork setsid --pids pids", 2),
}


def all_shapes(make_stack: Make) -> tuple[Stack, int]:
    """A stack of all of them, and how many processes it comes to at least."""
    lines = "".join(
        f"""
          s{number}: {{command: "{command.replace("--pids pids", f"--pids pids{number}")}", stop_grace: 300ms}}"""
        for number, (command, _) in enumerate(SHAPES.values())
    )
    return make_stack(f"\n        servers:{lines}\n"), len(SHAPES) + sum(n for _, n in SHAPES.values())


def forked(stack: Stack) -> dict[str, list[int]]:
    """What every shape has left behind, once all of it is there."""
    found: dict[str, list[int]] = {}

    def complete() -> bool:
        for number, (shape, (_, count)) in enumerate(SHAPES.items()):
            file = stack.folder / f"pids{number}"
            found[shape] = [int(line) for line in file.read_text().split()] if file.exists() else []
            if len(found[shape]) < count:
                return False
        return True

    eventually(complete, f"all of it is started: {found}")
    return found


def nothing_lives(stack: Stack, found: dict[str, list[int]]) -> None:
    left = {shape: [pid for pid in pids if alive(pid)] for shape, pids in found.items()}
    assert not {shape: pids for shape, pids in left.items() if pids}
    assert not stack.survivors()


@pytest.mark.heavy
def test_p2_ctrl_c(make_stack: Make) -> None:
    """P2: every shape of process tree is gone after Ctrl-C."""
    stack, count = all_shapes(make_stack)
    up = stack.start("up")
    stack.wait_up()
    found = forked(stack)
    assert len(stack.survivors()) > count, "it was all there"
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 130, stack.output()
    nothing_lives(stack, found)


@pytest.mark.heavy
def test_p2_down(make_stack: Make) -> None:
    """P2: every shape of process tree is gone when `down` returns."""
    stack, count = all_shapes(make_stack)
    stack.up()
    found = forked(stack)
    assert len(stack.survivors()) > count
    stack.cli("down", check=0)
    nothing_lives(stack, found)


@pytest.mark.heavy
def test_p2_supervisor_killed_then_down(make_stack: Make) -> None:
    """P2: the same after the supervisor got SIGKILL and `down` was run."""
    stack, count = all_shapes(make_stack)
    stack.up()
    found = forked(stack)
    supervisor = stack.client.status().pid
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not alive(supervisor), "the supervisor is dead")
    assert len(stack.survivors()) >= count, "servers live on without it"
    stack.cli("down", check=0)
    nothing_lives(stack, found)


def test_p2_down_without_a_supervisor_keeps_to_signal_and_grace(make_stack: Make) -> None:
    """P2: the supervisor is dead; `down` still asks by `stop_signal`, waits for one that takes its time within its
    `stop_grace`, and kills the deaf one at the end of its own."""
    stack = make_stack("""
        servers:
          saves: {command: PRETEND --mark marks --name saves --term-after 3s, stop_signal: SIGINT, stop_grace: 60s}
          deaf: {command: PRETEND --ignore-term --mark marks --name deaf, stop_grace: 200ms}
    """)
    stack.up()
    eventually(lambda: len([m for m in stack.marks() if m.event == "ready"]) == 2, "both run")
    (deaf,) = stack.marks_of("deaf", "ready")
    os.kill(stack.client.status().pid, signal.SIGKILL)
    down = stack.start("down")
    eventually(lambda: not alive(deaf.pid), "the deaf one is killed")
    assert not stack.marks_of("saves", "exit"), "nobody waits for the longest grace to kill the shortest"
    assert down.wait(60) == 0
    assert [mark.event for mark in stack.marks() if mark.name == "saves"] == [
        "start",
        "ready",
        "SIGINT",
        "exit",
    ]
    assert not stack.survivors()


def test_p2_down_of_a_supervisor_that_cannot_be_asked(make_stack: Make) -> None:
    """P2: one that lives, but at whose socket nobody answers, does not start again what `down` has ended."""
    stack = make_stack("servers: {a: {command: PRETEND, restart: always, backoff: {initial: 1ms}}}")
    stack.up()
    supervisor = stack.client.status().pid
    stack.client.socket_path.unlink()
    stack.client.socket_path.touch()  # in the way: a socket that is merely gone is made again
    down = stack.cli("down", check=0)
    assert f"the supervisor (pid {supervisor}) does not answer; it is killed" in down.stderr
    assert not alive(supervisor)
    assert not stack.survivors()


def test_p2_supervisor_killed_then_up(make_stack: Make) -> None:
    """P2, P8: after SIGKILL the next `up` leaves nothing running twice, and its `down` leaves nothing at all."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --port ${self.port} --fork setsid --pids pids --mark marks --name llm
            port: auto
            ready: /health
    """)
    stack.up()
    os.kill(stack.client.status().pid, signal.SIGKILL)
    stack.up()
    assert len([command for command in stack.survivors().values() if "--name llm" in command]) == 2
    stack.down()


def test_p2_down_twice_and_down_of_nothing(make_stack: Make) -> None:
    """P2: `down` on a stack that does not run is no failure."""
    stack = make_stack("servers: {llm: {command: PRETEND}}")
    stack.cli("down", check=0)
    stack.up()
    stack.cli("down", check=0)
    stack.cli("down", check=0)


def test_p2_leader_exits_first_on_sigterm(make_stack: Make) -> None:
    """P2, process-compose #520: the leader ends on SIGTERM, a deaf member of its group stays: `down` ends it too."""
    stack = make_stack("""
        servers:
          llm:
            shell: true
            command: "PRETEND --ignore-term --name deaf --touch ready & exec PRETEND --name leader --mark marks"
            stop_grace: 300ms
            ready: {file: ready}
    """)
    stack.up()
    assert any("--name deaf" in command for command in stack.survivors().values())
    stack.down()
    assert stack.marks_of("leader", "SIGTERM"), "the leader was asked to leave"


def test_p2_leader_exits_by_itself(make_stack: Make) -> None:
    """P2: the first process exits 0 and the program goes on in a child: nothing of it outlives the attempt."""
    stack = make_stack("""
        servers:
          llm: {command: "PRETEND --fork leader-exits --pids pids --ignore-term", restart: never, stop_grace: 200ms}
    """)
    assert stack.cli("up", timeout=60).returncode == 1
    (pid,) = (stack.folder / "pids").read_text().split()
    assert not alive(int(pid))
    assert not stack.survivors()


def test_p2_job_that_leaves_a_daemon(make_stack: Make) -> None:
    """P2: a job is done with all that it started: no daemon of it lives beside the next job."""
    stack = make_stack("""
        jobs:
          first: {command: "PRETEND --fork double --fork setsid --pids pids --exit 0", stop_grace: 300ms}
          second: {command: "cp pids seen", depends_on: [first]}
    """)
    done = stack.cli("up", check=0)
    pids = (stack.folder / "seen").read_text().split()
    assert len(pids) == 2, done.stderr
    assert not any(alive(int(pid)) for pid in pids)
    assert not stack.survivors()


def test_p2_crash_leaves_no_worker_for_the_next_attempt(make_stack: Make) -> None:
    """P2, vllm #34643 and others: the API server is killed; its workers are gone before the next attempt starts."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --fork setsid --pids pids --port ${self.port} --name llm --mark marks
            port: auto
            ready: /health
            restart: {policy: on-failure, backoff: {initial: 10ms}}
            stop_grace: 500ms
    """)
    stack.up()
    os.kill(stack.ps()["llm"]["pid"], signal.SIGKILL)
    eventually(lambda: len(stack.marks_of("llm", "ready")) == 2, "it is started again and ready")
    first, second = (int(pid) for pid in (stack.folder / "pids").read_text().split())
    assert not alive(first)
    assert alive(second)
    stack.down()


def test_p2_unsupervised_program_is_left_alone(make_stack: Make) -> None:
    """P2, the other way round: a program of somebody else, started in the same folder, is not touched."""
    stack = make_stack("servers: {llm: {command: PRETEND --ignore-term, stop_grace: 100ms}}")
    other = subprocess.Popen(["sleep", "600"], cwd=stack.folder, start_new_session=True)
    try:
        stack.up()
        stack.down()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
