"""Ctrl-C at any moment of a start: launchpad goes, and everything it started goes with it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, alive, eventually, fire, wait_a_little
from tests.samples import count

MOMENTS = count(25, 50)
BATCHES = 5
CHAIN = """
    servers:
      base: {command: "PRETEND --port ${self.port}", port: auto, ready: /health}
      deaf: {command: "PRETEND --ignore-term --port ${self.port}", port: auto, ready: /health,
             stop_grace: 200ms, depends_on: [base]}
      forks: {command: "PRETEND --fork setsid --fork double --port ${self.port}", port: auto, ready: /health,
              depends_on: [deaf]}
      top: {command: "PRETEND --port ${self.port}", port: auto, ready: /health, depends_on: [forks]}
    jobs:
      train: {command: "PRETEND --ignore-term --fork setsid", stop_grace: 200ms, depends_on: [top]}
"""


def interrupt(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)


@pytest.mark.heavy
@pytest.mark.parametrize("batch", range(BATCHES))
def test_ctrl_c_at_random_moments(make_stack: Make, batch: int) -> None:
    """P2: Ctrl-C at random moments of a start: exit 130 (death by SIGINT before launchpad's first line), nothing
    alive. `LP_SEED` repeats a run."""
    seed = int(os.environ.get("LP_SEED", random.randrange(2**32))) + batch
    print(f"LP_SEED={seed - batch}, batch {batch}")
    dice = random.Random(seed)
    whole = measure(make_stack(CHAIN))
    for _ in range(MOMENTS // BATCHES):
        stack = make_stack(CHAIN)
        moment = dice.uniform(0, whole * 1.1)
        up = stack.start("up")
        wait_until(time.monotonic() + moment)
        interrupt(up)
        code = up.wait(60)
        seen = f"{moment * 1000:.0f} ms: exit {code}\n{stack.output()}"
        # a keeper that was told nothing yet sees a moment later that it is alone
        eventually(lambda one=stack: not one.survivors(), seen)
        if died_before_launchpad(stack):
            continue
        assert code == 130, seen
        assert "Traceback" not in stack.output(), seen


def died_before_launchpad(stack: Stack) -> bool:
    """The interpreter was interrupted before any function of launchpad ran: Python's own traceback, or nothing at all
    (death by SIGINT), with no frame of launchpad in it but the import of it. Nothing can have been started then."""
    said = stack.output()
    bare = "KeyboardInterrupt" in said or (
        not said.strip() and stack.started[-1].returncode == -signal.SIGINT
    )
    ours = [line for line in said.splitlines() if "/launchpad/" in line and line.lstrip().startswith("File ")]
    imported = all(line.endswith("in <module>") for line in ours)
    return bare and imported and not (stack.folder / ".launchpad").exists()


@pytest.mark.heavy
def test_ctrl_c_at_random_moments_of_a_detached_start(make_stack: Make) -> None:
    """P2: Ctrl-C at 15 random moments of `up -d`, also around the moment in which the supervisor goes its own way:
    either exit 130 and nothing alive, or it was up already, and then all of it runs."""
    seed = int(os.environ.get("LP_SEED", random.randrange(2**32)))
    print(f"LP_SEED={seed}")
    dice = random.Random(seed)
    for _ in range(15):
        stack = make_stack(CHAIN)
        moment = dice.uniform(0, 0.6)
        up = stack.start("up", "-d")
        wait_until(time.monotonic() + moment)
        interrupt(up)
        code = up.wait(60)
        if code == 0:
            assert stack.ps()["top"]["state"] == "ready"
            stack.down()
            continue
        seen = f"{moment * 1000:.0f} ms: exit {code}\n{stack.output()}"
        # a keeper that was told nothing yet sees a moment later that it is alone
        eventually(lambda one=stack: not one.survivors(), seen)
        assert died_before_launchpad(stack) or code == 130, seen


def measure(stack: Stack) -> float:
    """Seconds from the command to `up`."""
    began = time.monotonic()
    up = stack.start("up")
    stack.wait_up()
    whole = time.monotonic() - began
    interrupt(up)
    assert up.wait(60) == 130
    assert not stack.survivors()
    return whole


def wait_until(moment: float) -> None:
    while time.monotonic() < moment:
        wait_a_little()


@pytest.mark.heavy
def test_ctrl_c_of_a_detached_start(make_stack: Make) -> None:
    """P2: Ctrl-C while `up -d` still waits ends the start: exit 130, nothing alive."""
    stack = make_stack("""
        servers:
          llm: {command: "PRETEND --port ${self.port} --ready-after never", port: auto, ready: /health}
          deaf: {command: "PRETEND --ignore-term --fork setsid", stop_grace: 200ms}
    """)
    up = stack.start("up", "-d")
    stack.wait_state("llm", "starting")
    interrupt(up)
    assert up.wait(60) == 130, stack.output()
    assert not stack.survivors()


def test_ctrl_c_stops_in_reverse_order(make_stack: Make) -> None:
    """Ctrl-C: who depends goes first; a service is asked only when nobody needs it any more."""
    stack = make_stack("""
        servers:
          a: {command: "PRETEND --mark marks --name a --term-after 100ms"}
          b: {command: "PRETEND --mark marks --name b --term-after 100ms", depends_on: [a]}
          c: {command: "PRETEND --mark marks --name c --term-after 100ms", depends_on: [b]}
    """)
    up = stack.start("up")
    eventually(lambda: len([m for m in stack.marks() if m.event == "ready"]) == 3, "all are ready")
    interrupt(up)
    assert up.wait(60) == 130
    ends = [(m.name, m.event) for m in stack.marks() if m.event in ("SIGTERM", "exit")]
    assert ends == [(name, event) for name in "cba" for event in ("SIGTERM", "exit")]


def test_second_ctrl_c_kills(make_stack: Make) -> None:
    """The second Ctrl-C grants no more grace: a deaf service with `stop_grace: 1h` is killed at once."""
    stack = make_stack("""
        servers:
          deaf: {command: "PRETEND --ignore-term --fork setsid --mark marks --name deaf", stop_grace: 1h}
    """)
    up = stack.start("up")
    eventually(lambda: stack.marks_of("deaf", "ready"), "it runs")
    interrupt(up)
    eventually(lambda: stack.marks_of("deaf", "SIGTERM"), "the first one asks it to leave")
    stack.wait_state("deaf", "stopping")
    assert up.poll() is None, "launchpad waits for it"
    interrupt(up)
    assert up.wait(60) == 130
    assert not stack.survivors()


def test_third_ctrl_c_leaves(make_stack: Make) -> None:
    """The third Ctrl-C does not wait for anything any more, not even for the killing; `down` ends what is left."""
    stack = make_stack("""
        servers:
          deaf: {command: "PRETEND --ignore-term --fork bomb:12 --mark marks --name deaf", stop_grace: 1h}
    """)
    up = stack.start("up")
    eventually(lambda: stack.marks_of("deaf", "ready"), "it runs")
    interrupt(up)
    stack.wait_state("deaf", "stopping")
    interrupt(up)
    interrupt(up)
    assert up.wait(60) == 130
    stack.cli("down", check=0)
    assert not stack.survivors()


def test_sigterm_and_sighup_are_orderly_stops(make_stack: Make) -> None:
    """A closed terminal (overmind #50, #118) or a `kill` of launchpad: an orderly stop, nothing alive."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        stack = make_stack("servers: {llm: {command: PRETEND --fork setsid --mark marks --name llm}}")
        up = stack.start("up")
        eventually(lambda one=stack: one.marks_of("llm", "ready"), "it runs")
        up.send_signal(number)
        assert up.wait(60) in (130, 128 + number)
        assert stack.marks_of("llm", "SIGTERM")
        assert not stack.survivors()
        assert not stack.client.socket_path.exists()


def test_ctrl_c_of_one_who_joined(make_stack: Make) -> None:
    """`up` on a stack that already runs follows it; Ctrl-C only lets go of it."""
    stack = make_stack("servers: {llm: {command: PRETEND --print hello --every 100ms}}")
    stack.up()
    pid = stack.ps()["llm"]["pid"]
    joined = stack.start("up")
    eventually(lambda: "hello" in stack.output(), "it follows the output")
    interrupt(joined)
    assert joined.wait(60) in (0, 130)
    assert alive(pid)
    assert stack.ps()["llm"]["pid"] == pid
    stack.down()


def test_ctrl_c_under_run(make_stack: Make) -> None:
    """Ctrl-C under `run`: job and servers go; exit 130."""
    stack = make_stack("""
        servers: {llm: {command: "PRETEND --port ${self.port} --fork setsid", port: auto, ready: /health}}
        jobs: {train: {command: "PRETEND --mark marks --name train", depends_on: [llm]}}
    """)
    run = stack.start("run", "train")
    eventually(lambda: stack.marks_of("train", "ready"), "the job runs")
    interrupt(run)
    assert run.wait(60) == 130
    assert not stack.survivors()


def test_ctrl_c_while_a_child_reads_the_terminals_group(make_stack: Make) -> None:
    """A Ctrl-C that the terminal sends to the whole group reaches launchpad alone; children are stopped in order."""
    stack = make_stack("""
        servers:
          a: {command: "PRETEND --mark marks --name a"}
          b: {command: "PRETEND --mark marks --name b", depends_on: [a]}
    """)
    up = stack.start("up", start_new_session=True)
    eventually(lambda: stack.marks_of("b", "ready"), "both run")
    os.killpg(up.pid, signal.SIGINT)
    assert up.wait(60) == 130
    assert not [mark for mark in stack.marks() if mark.event == "SIGINT"], (
        "children are in sessions of their own"
    )
    ends = [m.name for m in stack.marks() if m.event == "SIGTERM"]
    assert ends == ["b", "a"]


def test_ctrl_c_in_the_middle_of_a_restart(make_stack: Make) -> None:
    """Ctrl-C while a service waits to be started again: it is not started any more."""
    stack = make_stack("""
        servers:
          llm:
            command: PRETEND --exit 1 --exit-when go --mark marks --name llm
            restart: {policy: on-failure, backoff: {initial: 1h, max: 1h}}
    """)
    stack.pipe("go")
    up = stack.start("up")
    fire(stack.folder / "go")
    stack.wait_state("llm", "backoff")
    interrupt(up)
    assert up.wait(60) == 130
    assert len(stack.marks_of("llm", "start")) == 1
