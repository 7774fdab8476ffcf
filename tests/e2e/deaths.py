"""Killing supervisors, and looking at what becomes of the processes. For tests and for long runs of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

from launchpad.hosts.local import process, records
from launchpad.hosts.local.records import Record
from launchpad.paths import StackPaths, stack_paths
from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, alive, eventually


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
    with paths_of(stack).records.open("a") as file:
        file.write(json.dumps({"attempt": record.attempt, **changed}) + "\n")


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
    found = []
    with contextlib.suppress(OSError):
        for one in list(Path(f"/proc/{pid}/fd").iterdir()):
            with contextlib.suppress(OSError):  # closed meanwhile; the others are still to be looked at
                found.append(os.readlink(one))
    return found


def kill_holders(stack: Stack) -> None:
    """SIGKILL for them, until there is none."""
    while found := holders(stack):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda found=found: not any(alive(pid) for pid in found), "they are gone")
