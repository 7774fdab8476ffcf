"""Killing supervisors, and looking at what becomes of the processes. For tests and for long runs of them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import threading
from pathlib import Path

from launchpad.hosts.local import process, records
from launchpad.hosts.local.records import Record
from launchpad.paths import StackPaths, stack_paths
from tests.e2e.conftest import Make
from tests.e2e.harness import PRETEND, Stack, alive, eventually


def paths_of(stack: Stack) -> StackPaths:
    return stack_paths(stack.file)


def kill_supervisor(stack: Stack) -> None:
    """SIGKILL; returns when it is gone. What it started lives on."""
    pid = stack.client.status().pid
    os.kill(pid, signal.SIGKILL)
    for one in stack.started:
        if one.pid == pid:
            one.wait(30)
    eventually(lambda: not alive(pid), "the supervisor is gone")


def kill_keeper(stack: Stack) -> None:
    """What watches over a stack without a supervisor."""
    content = json.loads(paths_of(stack).keeper.read_text())
    assert process.send(content["pid"], content["start"], signal.SIGKILL)
    eventually(lambda: not alive(content["pid"]), "the keeper is gone")


def has_keeper(stack: Stack) -> bool:
    return alive(json.loads(paths_of(stack).keeper.read_text())["pid"])


def record_of(stack: Stack, service: str) -> Record:
    (record,) = (one for one in records.read_records(paths_of(stack)) if one.service == service)
    return record


def rewrite(stack: Stack, service: str, **changed: object) -> None:
    """Make its record say something else."""
    record = record_of(stack, service)
    path = paths_of(stack).records_dir / f"{service}.{record.attempt}.json"
    with path.open("a") as file:
        file.write(json.dumps(changed) + "\n")


def pids(stack: Stack) -> dict[str, int]:
    """Service → pid, of what the supervisor knows to run."""
    return {view.name: view.pid for view in stack.client.status().services if view.pid is not None}


def mains(stack: Stack) -> dict[str, list[int]]:
    """Service → the processes that lead a session of it: a twin would be a second one."""
    found: dict[str, list[int]] = {}
    for pid in stack.survivors():
        marks, one = process.marks(pid), process.stat(pid)
        if marks is not None and one is not None and one.session == pid:
            found.setdefault(marks.service, []).append(pid)
    return found


def two_servers(make_stack: Make) -> Stack:
    return make_stack("""
        servers:
          llm: {command: "PRETEND --port ${self.port} --name llm --mark marks", port: auto, ready: /health}
          web:
            command: PRETEND --port ${self.port} --name web --mark marks
            port: auto
            ready: /health
            environment: {LLM: "${llm.url}"}
            depends_on: {llm: {restart: true}}
    """)


def jobs(make_stack: Make) -> Stack:
    stack = make_stack("""
        servers: {llm: {command: PRETEND}}
        jobs:
          good: {command: "PRETEND --exit 0 --exit-when good.pipe --mark marks --name good"}
          bad: {command: "PRETEND --exit 3 --exit-when bad.pipe --mark marks --name bad", restart: never}
          early: {command: "PRETEND --exit 0 --mark marks --name early"}
          after-good: {command: "PRETEND --mark marks --name after-good", depends_on: [good, early]}
          after-bad: {command: PRETEND, depends_on: [bad]}
    """)
    for name in ("good", "bad"):
        stack.pipe(f"{name}.pipe")
    stack.start("up")
    stack.wait_state("early", "done")
    for name in ("good", "bad"):
        eventually(lambda name=name: stack.marks_of(name, "start"), "it runs")
    return stack


STACK = f"""
servers:
  base: {{command: "{PRETEND} --port ${{self.port}} --name base", port: auto, ready: /health, environment: {{N: "0"}}}}
  deaf: {{command: "{PRETEND} --ignore-term --fork setsid --name deaf", stop_grace: 100ms}}
  slow: {{command: "{PRETEND} --port ${{self.port}} --ready-after 100ms --name slow", port: auto, ready: /health, depends_on: [base]}}
  bound: {{command: "{PRETEND} --name bound", depends_on: {{base: {{restart: true}}}}}}
jobs:
  short: {{command: "{PRETEND} --exit 0 --after 50ms --name short"}}
  long: {{command: "{PRETEND} --name long", depends_on: [short]}}
"""


class Deaths:
    """Supervisors that are killed at random moments of a start, of a reload, of a stop."""

    def __init__(self, stack: Stack, seed: str) -> None:
        self.stack, self.dice = stack, random.Random(seed)
        self.rounds = 0

    def round(self) -> None:
        """One death, and what comes after it: `up`, or `down`."""
        self.rounds += 1
        doing = self.dice.choice(
            (self._start, self._start, self._reload, self._stop, self._down, self._quiet)
        )
        doing()
        self._check_twins()
        if self.dice.random() < 0.7:
            self._up_again()
        else:
            self._down_again()

    def _start(self) -> None:
        up = self.stack.start("up") if self.dice.random() < 0.5 else self.stack.start("up", "-d")
        self._pause(0.9)
        self._kill(up)

    def _quiet(self) -> None:
        self.stack.cli("up", "-d", check=None)
        self._kill(None)

    def _reload(self) -> None:
        self.stack.cli("up", "-d", check=None)
        text = self.stack.file.read_text()
        number = self.dice.randrange(1 << 30)
        self.stack.file.write_text(re.sub(r'N: "\d+"', f'N: "{number}"', text))
        self._pause(0.4)
        self._kill(None)

    def _stop(self) -> None:
        self.stack.cli("up", "-d", check=None)
        name = self.dice.choice(("base", "deaf", "bound"))
        one = self.stack.start(self.dice.choice(("stop", "restart")), name, "--no-wait")
        self._pause(0.5)
        self._kill(one)

    def _down(self) -> None:
        self.stack.cli("up", "-d", check=None)
        down = self.stack.start("down")
        self._pause(0.6)
        self._kill(down)

    def _pause(self, most_s: float) -> None:
        threading.Event().wait(self.dice.random() * most_s)

    def _kill(self, command: subprocess.Popen[str] | None) -> None:
        """The supervisor; and the command that was at it, which may just have become one."""
        if command is not None:
            command.kill()
            command.wait()
        kill_holders(self.stack)

    def _check_twins(self) -> None:
        twins = {
            name: found for name, found in mains(self.stack).items() if len(found) > 1 and name != "deaf"
        }
        assert not twins, f"round {self.rounds}: {twins}"

    def _up_again(self) -> None:
        """All that is wanted runs, once, and nothing else does."""
        self.stack.cli("up", "-d", "base", "deaf", "slow", "bound", "long", check=0)
        status = self.stack.client.status()
        assert status.phase == "up", f"round {self.rounds}: {status}"
        known, found = pids(self.stack), mains(self.stack)
        assert set(known) == {"base", "deaf", "slow", "bound", "long"}, f"round {self.rounds}: {known}"
        for name, pid in known.items():
            others = [one for one in found[name] if one != pid]
            assert len(others) == (1 if name == "deaf" else 0), f"round {self.rounds}: {name} {pid} {found}"
        mine = {pid for found_of in found.values() for pid in found_of}
        rest = {pid: text for pid, text in self.stack.survivors().items() if pid not in mine}
        assert len(rest) == 2, f"round {self.rounds}: supervisor and keeper, and {rest}"

    def _down_again(self) -> None:
        self.stack.cli("down", check=0)
        left = eventually_nothing(self.stack)
        assert not left, f"round {self.rounds}: {left}"
        assert not records.read_records(paths_of(self.stack))


def eventually_nothing(stack: Stack) -> dict[int, str]:
    """What lives after a while that nobody should need; commands that were waiting leave by themselves."""
    try:
        eventually(lambda: not stack.survivors(), "nothing lives", 10)
    except AssertionError:
        pass
    return stack.survivors()


def holders(stack: Stack) -> list[int]:
    """Processes that have the stack's lock: its supervisor, or who is about to be one."""
    lock = str(paths_of(stack).lock)
    return [pid for pid in stack.survivors() if lock in _files(pid)]


def _files(pid: int) -> list[str]:
    try:
        return [os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []


def kill_holders(stack: Stack) -> None:
    """SIGKILL for them, until there is none."""
    while found := holders(stack):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda found=found: not any(alive(pid) for pid in found), "they are gone")
