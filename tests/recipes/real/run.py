"""One recipe with the real program: start, ready, one request, stop, and what is left.

Everything is measured from outside: what is left behind is found by a mark in the environment and by the ports.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.harness import Stack, listens
from tests.recipes.real.programs import FILES, Program

DEADLINE_S = 300.0


@dataclass(frozen=True)
class Seen:
    """`ready_s`: from the spawn to readiness, or to the end of a job. `left`: processes that carried the mark after the end."""

    version: str
    ready_s: float
    processes: int
    answered: str
    stop_s: float
    left: int
    ports_free: bool


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
        subprocess.run([python_of(env), FILES / program.make], cwd=folder, check=True, capture_output=True)


def text_of(name: str, program: Program, env: Path) -> str:
    group = "jobs" if program.is_job else "servers"
    return f"name: real\n{group}:\n  it: {{uses: {name}, restart: never, venv: {env}, {program.keys}}}\n"


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
    return _job(program, env, stack) if program.is_job else _server(program, env, stack)


def _server(program: Program, env: Path, stack: Stack) -> Seen:
    row = stack.ps()["it"]
    assert row["state"] == "ready", row
    assert program.ask is not None
    answered = program.ask(row["url"])
    processes = len(_own(stack))
    stack.cli("down", check=0, timeout=DEADLINE_S)
    left = len(stack.survivors())
    free = not any(listens(number) for number in row["ports"].values())
    return Seen(
        version(program, env),
        seconds(stack, "starting", "ready"),
        processes,
        answered,
        seconds(stack, "stopping", "idle"),
        left,
        free,
    )


def _job(program: Program, env: Path, stack: Stack) -> Seen:
    done = stack.cli("wait", timeout=DEADLINE_S)
    text = stack.log("it").read_text()
    assert done.returncode == 0, f"{done.stderr}\n{text}"
    assert program.prints in text, text
    took = seconds(stack, "starting", "done") if _has(stack, "starting") else seconds(stack, "ready", "done")
    stack.cli("down", check=0, timeout=DEADLINE_S)
    return Seen(version(program, env), took, 0, program.prints, 0.0, len(stack.survivors()), True)


def _has(stack: Stack, phase: str) -> bool:
    return any(event["phase"] == phase for event in stack.events())


def _own(stack: Stack) -> dict[int, str]:
    """Without launchpad's own two."""
    return {pid: command for pid, command in stack.survivors().items() if "launchpad" not in command}
