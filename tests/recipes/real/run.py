"""One recipe with the real program: start, ready, one request, stop, and what is left.

Everything is measured from outside: what is left behind is found by a mark in the environment and by the ports.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from launchpad.control.api import ServiceView
from tests.e2e.harness import Stack, eventually, listens
from tests.recipes.real.programs import FILES, PROGRAMS, Failure, Program

DEADLINE_S = 300.0


class Seen(Struct, frozen=True):
    """`ready_s`: from the spawn to readiness, or to the end of a job. `left`: processes that carried the mark after the end.
    `left_by_kill`: those of before that still lived when, after a SIGKILL of the first process, the next one was ready."""

    version: str
    ready_s: float
    processes: int
    answered: str
    stop_s: float
    left: int
    ports_free: bool
    left_by_kill: int = 0


def python_of(env: Path) -> Path:
    return env / "bin" / "python"


def version(program: Program, env: Path) -> str:
    code = f"import importlib.metadata as m; print(m.version({program.version_of!r}))"
    done = subprocess.run([python_of(env), "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def prepare(program: Program, env: Path, folder: Path) -> None:
    for name in program.files:
        shutil.copy(FILES / name, folder / name)
    if program.make:
        script, *arguments = program.make
        command = [python_of(env), FILES / script, *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


def text_of(name: str, program: Program, env: Path, restart: str = "on-failure") -> str:
    group = "jobs" if program.is_job else "servers"
    return f"name: real\n{group}:\n  it: {{uses: {name}, restart: {restart}, venv: {env}, {program.keys}}}\n"


def seconds(stack: Stack, first: str, last: str) -> float:
    """Between two phases of the service, as the journal has them."""
    times = {event["phase"]: event["at"] for event in stack.events() if event["what"] == "phase"}
    return float(times[last] - times[first])


def play(name: str, program: Program, env: Path, stack: Stack) -> Seen:
    """Raises AssertionError with what was seen where something is not as it should be."""
    prepare(program, env, stack.folder)
    stack.write(text_of(name, program, env))
    stack.environ["LAUNCHPAD_NVML"] = ""
    done = stack.cli("up", "-d", timeout=DEADLINE_S)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return _job(name, program, env, stack) if program.is_job else _server(program, env, stack)


def _server(program: Program, env: Path, stack: Stack) -> Seen:
    row = stack.ps()["it"]
    assert row["state"] == "ready", row
    assert program.ask is not None
    answered = program.ask(row["url"])
    processes = _own(stack)
    ready_s = seconds(stack, "starting", "ready")
    os.kill(row["pid"], signal.SIGKILL)
    stack.wait_for(lambda seen: _is_back(seen.services[0], row["pid"]), timeout=DEADLINE_S)
    left_by_kill = len(processes.keys() & _own(stack).keys())
    assert stack.ps()["it"]["ports"] == row["ports"], "it comes back where it was"
    stack.cli("down", check=0, timeout=DEADLINE_S)
    left = len(stack.survivors())
    free = not any(listens(number) for number in row["ports"].values())
    return Seen(
        version(program, env),
        ready_s,
        len(processes),
        answered,
        seconds(stack, "stopping", "idle"),
        left,
        free,
        left_by_kill,
    )


def fail(failure: Failure, env: Path, stack: Stack) -> str:
    """Start what cannot start; what is said about it."""
    program = PROGRAMS[failure.recipe]
    prepare(program, env, stack.folder)
    stack.write(text_of(failure.recipe, replace(program, keys=failure.keys), env, "never"))
    done = stack.cli("up", "-d", timeout=DEADLINE_S)
    if program.is_job:
        done = stack.cli("wait", timeout=DEADLINE_S)
    assert done.returncode == 1, done.stderr
    problems = [event["diagnostic"] for event in stack.events() if event["diagnostic"]]
    stack.cli("down", timeout=DEADLINE_S)
    return "\n".join([*problems[-1]["notes"], f"hint: {problems[-1]['hint']}"])


def _job(name: str, program: Program, env: Path, stack: Stack) -> Seen:
    """To its end, and twice more with a script that stays: stopped, and killed."""
    done = stack.cli("wait", timeout=DEADLINE_S)
    text = stack.log("it").read_text()
    assert done.returncode == 0, f"{done.stderr}\n{text}"
    assert program.prints in text, text
    took = seconds(stack, "starting", "done") if _has(stack, "starting") else seconds(stack, "ready", "done")
    stays = replace(program, keys=f"{program.keys}, environment: {{STAY: '1'}}")
    stack.write(text_of(name, stays, env, "never"))
    processes = len(_until_it_prints(program, stack))
    stack.cli("down", check=0, timeout=DEADLINE_S)
    left, stop_s = len(stack.survivors()), seconds(stack, "stopping", "idle")
    _until_it_prints(program, stack)
    os.kill(stack.ps()["it"]["pid"], signal.SIGKILL)
    assert stack.cli("wait", timeout=DEADLINE_S).returncode == 1
    left_by_kill = len(_own(stack))
    return Seen(version(program, env), took, processes, program.prints, stop_s, left, True, left_by_kill)


def _until_it_prints(program: Program, stack: Stack) -> dict[int, str]:
    """Start it; its processes once it has printed what it has to."""
    before = stack.log("it").read_text().count(program.prints)
    stack.cli("up", "-d", check=0, timeout=DEADLINE_S)
    eventually(lambda: stack.log("it").read_text().count(program.prints) > before, "it prints", DEADLINE_S)
    return _own(stack)


def _is_back(view: ServiceView, killed: int) -> bool:
    return view.state == "ready" and view.pid not in (None, killed)


def _has(stack: Stack, phase: str) -> bool:
    return any(event["phase"] == phase for event in stack.events())


def _own(stack: Stack) -> dict[int, str]:
    """Without launchpad's own two."""
    return {pid: command for pid, command in stack.survivors().items() if "launchpad" not in command}
