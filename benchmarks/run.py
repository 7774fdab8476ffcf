"""One start of one launcher: its folder, its process, its children's marks. Believes the children, never the launcher."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from benchmarks import marks
from benchmarks.adapters.base import Adapter
from benchmarks.marks import Mark
from benchmarks.model import Failed, Service
from benchmarks.places import compiled
from benchmarks.processes import Ends, alive, descendants, end_all

LOOK_S = 0.005
"""Between two looks at the marks, which carry the time themselves."""
QUIET_CPU = 0.02


class Run:
    """`with Run(adapter) as run:`; at its end everything that lives below this process is killed.

    Orphans have to be this process's (`processes.keep_orphans`)."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.folder = Path(tempfile.mkdtemp(prefix="b"))  # in the folder that `cell` made for it
        self.marks = self.folder / "marks"
        self.began_ns = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._terminal: int | None = None

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = end_all(os.getpid())
        if self._terminal is not None:
            os.close(self._terminal)
        shutil.rmtree(self.folder, ignore_errors=True)
        if left and error is None:
            raise Failed(f"{len(left)} processes could not be killed")

    def actor(self, name: str, *mode: object) -> tuple[str, ...]:
        """The command of a measured child."""
        return (compiled("actor"), str(self.marks), name, *map(str, mode))

    def idlers(self, count: int, **features: object) -> list[Service]:
        return [Service(f"s{i}", self.actor(f"s{i}", "idle"), **features) for i in range(count)]  # type: ignore[arg-type]

    def environment(self) -> dict[str, str]:
        mine = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
        }
        return {**mine, "XDG_RUNTIME_DIR": str(self.folder), **self.adapter.environment(self.folder)}

    def start(self, services: Sequence[Service], stdout: IO[bytes] | int | None = None) -> None:
        """Writes its configuration and executes it; `began_ns` is the time just before."""
        self.adapter.write(self.folder, services)
        out = stdout if stdout is not None else (self.folder / "out").open("wb")
        argv = self.adapter.command(self.folder)
        if self.adapter.terminal:
            self._start_in_terminal(argv)
            return
        self.began_ns = time.monotonic_ns()
        self.process = subprocess.Popen(
            argv, cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT if stdout is None else subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def _start_in_terminal(self, argv: list[str]) -> None:
        self._terminal, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        self.began_ns = time.monotonic_ns()
        self.process = subprocess.Popen(
            argv, cwd=self.folder, env=self.environment(), stdin=inner, stdout=inner, stderr=inner,
            start_new_session=True,
        )  # fmt: skip
        os.close(inner)
        threading.Thread(target=self._read_terminal, daemon=True).start()

    def _read_terminal(self) -> None:
        """Answers what a full-screen program asks of its terminal, and throws the rest away."""
        assert self._terminal is not None
        try:
            while text := os.read(self._terminal, 65536):
                if b"\x1b[6n" in text:
                    os.write(self._terminal, b"\x1b[1;1R")
                if b"\x1b[c" in text:
                    os.write(self._terminal, b"\x1b[?62;c")
        except OSError:
            return

    def read(self, what: str | None = None) -> list[Mark]:
        return marks.read(self.marks, what)

    def wait(self, count: int, what: str = "start", deadline_s: float | None = None) -> list[Mark]:
        """The marks of that kind once there are so many. A launcher that ends before has failed."""
        deadline_s = self.adapter.patience_s if deadline_s is None else deadline_s
        until, size = time.monotonic() + deadline_s, -1
        found: list[Mark] = []
        while True:
            gone = self.ended()
            now = self.marks.stat().st_size if self.marks.exists() else -1
            if now != size:
                size, found = now, self.read(what)
            if len(found) >= count:
                return found
            if gone:
                raise Failed(
                    f"it ended, {gone}, when {len(found)} of {count} said `{what}`{self.last_words()}"
                )
            if time.monotonic() > until:
                raise Failed(
                    f"{len(found)} of {count} said `{what}` within {deadline_s:g} s{self.last_words()}"
                )
            time.sleep(LOOK_S)

    def begin(self, services: Sequence[Service], deadline_s: float | None = None) -> list[Mark]:
        """Starts it and waits until every service has said so; each exactly once."""
        self.start(services)
        found = self.wait(len(services), deadline_s=deadline_s)
        names = [mark.name for mark in found]
        if sorted(names) != sorted(service.name for service in services):
            others = set(names) - {service.name for service in services}
            of = f"{len(set(names))}" + (f", {len(others)} of them not among these" if others else "")
            raise Failed(f"{len(services)} services, but {len(names)} starts of {of}")
        return found

    def ended(self) -> str:
        """How it ended, in words; empty while it runs, or if it is one that leaves by design."""
        if self.process is None or self.process.poll() is None:
            return ""
        if self.adapter.leaves and self.process.returncode == 0:
            return ""
        return f"exit {self.process.returncode}"

    def still_there(self) -> None:
        """It has to be, for a moment at least: one that leaves its services alone has failed."""
        if self.process is not None and not self.adapter.leaves:
            try:
                self.process.wait(self.adapter.stays_s)
            except subprocess.TimeoutExpired:
                return
        if gone := self.ended():
            raise Failed(f"it ended, {gone}, right after its services had started{self.last_words()}")

    def last_words(self) -> str:
        out = self.folder / "out"
        lines = out.read_text(errors="replace").split("\n") if out.exists() else []
        said = [line.strip() for line in lines if line.strip()]
        return f": {said[-1][:200]}" if said else ""

    def own(self) -> list[int]:
        """The launcher with its helpers: all below this process but the measured children."""
        children = {mark.pid for mark in self.read()}
        return [pid for pid in descendants(os.getpid()) if pid not in children]

    def settle(self, cost: Callable[[], float], deadline_s: float = 15.0) -> None:
        """Until it has come to rest: under 2 % of a core for half a second."""
        until = time.monotonic() + deadline_s
        while time.monotonic() < until:
            before = cost()
            time.sleep(0.5)  # the window that is measured
            if cost() - before < QUIET_CPU * 0.5:
                return

    def call(self, argv: Sequence[str], deadline_s: float = 20.0) -> float:
        """How long a command of the launcher takes, in ms; it has to succeed."""
        with (self.folder / "said").open("wb") as said:
            began = time.monotonic_ns()
            asked = subprocess.Popen(
                list(argv), cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=said, stderr=subprocess.STDOUT,
            )  # fmt: skip
            # not `wait(timeout)`: that looks again and again, ever more rarely
            if not Ends([asked.pid]).wait(time.monotonic() + deadline_s):
                raise Failed(f"`{Path(argv[0]).name}` takes more than {deadline_s:g} s")
        took = (time.monotonic_ns() - began) / 1e6
        if asked.wait() != 0:
            text = (self.folder / "said").read_text(errors="replace").strip()[-200:]
            raise Failed(f"`{Path(argv[0]).name}` exited with {asked.returncode}: {text}")
        return took

    def call_beside(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """A command of the launcher that is not waited for."""
        return subprocess.Popen(
            list(argv), cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def over(self) -> None:
        """Stopped, and as if nothing had been started yet in this folder."""
        self.ask_to_stop()
        assert self.process is not None
        self.process.wait(self.adapter.patience_s)
        self.marks.unlink()

    def ask_to_stop(self) -> None:
        """As its user would: a signal, a key, or its own command."""
        assert self.process is not None
        if (argv := self.adapter.stop_command(self.folder)) is not None:
            self.call_beside(argv)
        elif self._terminal is not None:
            os.write(self._terminal, b"q")
        elif alive(self.process.pid):
            os.kill(self.process.pid, self.adapter.stop_signal)


def interrupted(*_: object) -> None:
    raise SystemExit(1)


def end_on_signals() -> None:
    """So that `Run.__exit__` is come by."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupted)
