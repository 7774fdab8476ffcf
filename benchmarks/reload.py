"""From a save to the new process of the service that it changed: `python benchmarks/reload.py [SAVES]`.

The service writes the time (nanoseconds) as its first act; the save is timed when the file has its new content. The time
includes the end of the old process. One of four servers changes; the others keep theirs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from launchpad.control.client import Client, NotRunning
from launchpad.paths import stack_paths

OTHERS = "\n".join(f"  s{number}: {{command: sleep 1000}}" for number in range(3))
STACK = """\
servers:
  changing:
    shell: true
    command: "date +%s%N >> marks; exec sleep 1000"
    environment: {{MARK: "{mark}"}}
{others}
x-end: here
"""
DEADLINE_S = 30.0
PAUSE_S = 0.3
"""Between two saves, as a person would make at least."""


def in_place(file: Path, text: str) -> None:
    file.write_text(text)


def renamed(file: Path, text: str) -> None:
    part = file.with_name("part")
    part.write_text(text)
    os.replace(part, file)


def main(saves: int) -> None:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir="/tmp") as runtime:
        os.environ["XDG_RUNTIME_DIR"] = runtime
        file = Path(folder) / "stack.yaml"
        file.write_text(STACK.format(mark=-1, others=OTHERS))
        command = [sys.executable, "-m", "launchpad", "up", str(file)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as up:
            try:
                wait(lambda: is_up(file), "the stack is up")
                time.sleep(1.0)  # until it watches; nothing tells
                print(f"{'saved':<22}{'saves':>6}{'median':>12}{'p95':>12}{'worst':>12}")
                for name, save in {"in place": in_place, "temporary + rename": renamed}.items():
                    report(name, [measure(file, save, f"{name}{n}") for n in range(saves)])
            finally:
                up.terminate()


def measure(file: Path, save: Callable[[Path, str], None], mark: str) -> float:
    """Milliseconds."""
    marks = file.with_name("marks")
    count = len(marks.read_text().splitlines())
    save(file, STACK.format(mark=mark, others=OTHERS))
    saved = time.time_ns()
    wait(lambda: len(marks.read_text().splitlines()) > count, "a new process")
    time.sleep(PAUSE_S)  # not back to back
    return (int(marks.read_text().split()[-1]) - saved) / 1e6


def report(name: str, times: list[float]) -> None:
    p95 = statistics.quantiles(times, n=20)[-1]
    row = "".join(f"{value:>9.1f} ms" for value in (statistics.median(times), p95, max(times)))
    print(f"{name:<22}{len(times):>6}{row}")


def is_up(file: Path) -> bool:
    try:
        return Client(stack_paths(file).socket).status().phase == "up"
    except NotRunning:
        return False


def wait(true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + DEADLINE_S
    while not true():
        if time.monotonic() > until:
            raise SystemExit(f"not within {DEADLINE_S:g} s: {what}")
        time.sleep(0.001)  # the mark tells the time; this only notices


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
