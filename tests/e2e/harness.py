"""A stack in a temporary folder, driven from outside as a person would: by the command line.

Everything that is started carries a mark in its environment, so that a test can find what is left
behind without believing launchpad, and the end of the test ends exactly that.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import httpx

from launchpad.control.api import ServiceView, Snapshot
from launchpad.control.client import Client, NotRunning
from launchpad.paths import stack_paths

LAUNCHPAD = [sys.executable, "-m", "launchpad"]
PRETEND = f"{sys.executable} -m launchpad.pretend"
DEADLINE_S = 60.0


class Mark(NamedTuple):
    """One line that an actor wrote; `at` in nanoseconds since the epoch."""

    at: int
    name: str
    event: str
    pid: int


class Stack:
    """`environ` is what launchpad is started with, besides the mark."""

    def __init__(self, folder: Path, text: str, *, name: str = "stack.yaml") -> None:
        self.folder = folder
        self.file = folder / name
        self.mark = uuid.uuid4().hex
        self.environ = {**os.environ, "LP_TEST_MARK": self.mark, "NO_COLOR": "1"}
        self.environ.pop("PYTHONUNBUFFERED", None)
        self.started: list[subprocess.Popen[str]] = []
        self.write(text)

    @property
    def client(self) -> Client:
        return Client(stack_paths(self.file).socket)

    def write(self, text: str) -> None:
        """Save a stack file; `PRETEND` in it is the command line of the actor."""
        self.file.write_text(textwrap.dedent(text).replace("PRETEND", PRETEND))

    def cli(
        self,
        *args: str,
        timeout: float = DEADLINE_S,
        check: int | None = None,
        cwd: Path | None = None,
        **environ: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end. `check`: the exit code that it must have."""
        done = subprocess.run(
            [*LAUNCHPAD, *args],
            cwd=cwd or self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check is not None:
            assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(
        self,
        *args: str,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        **more: Any,
    ) -> subprocess.Popen[str]:
        """Begin a command and go on; its output goes to `outN.txt` and `errN.txt` unless told otherwise."""
        number = len(self.started)
        out = stdout if stdout is not None else (self.folder / f"out{number}.txt").open("w")
        err = stderr if stderr is not None else (self.folder / f"err{number}.txt").open("w")
        process = subprocess.Popen(
            [*LAUNCHPAD, *args],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
            **more,
        )
        self.started.append(process)
        return process

    def up(self, *args: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        """`up -d`; with `check` None, whatever it exits with."""
        return self.cli("up", "-d", *args, check=check)

    def down(self) -> None:
        """`down`, and then nothing lives; who waited for the stack to be up is told and leaves as well."""
        self.cli("down", check=0)
        for process in self.started:
            process.wait(30)
        assert not self.survivors()

    def log(self, service: str) -> Path:
        return stack_paths(self.file).log(service)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.cli("events", "--json", check=0).stdout.splitlines()]

    def marks(self, file: str = "marks") -> list[Mark]:
        """What actors with `--mark FILE` have written, in the order in which it happened."""
        path = self.folder / file
        lines = path.read_text().splitlines() if path.exists() else []
        return sorted(Mark(int(at), name, event, int(pid)) for at, name, event, pid in map(str.split, lines))

    def marks_of(self, name: str, event: str, file: str = "marks") -> list[Mark]:
        return [mark for mark in self.marks(file) if (mark.name, mark.event) == (name, event)]

    def first(self, name: str, event: str) -> Mark:
        """Its first such mark: it writes them itself, a moment after launchpad knows of it."""
        found: list[Mark] = eventually(lambda: self.marks_of(name, event), f"`{name}` marks its {event}")
        return found[0]

    def pipe(self, name: str) -> Path:
        """A named pipe in the stack's folder."""
        path = self.folder / name
        os.mkfifo(path)
        return path

    def output(self, number: int = 0) -> str:
        """What a started command wrote so far, both streams."""
        files = [self.folder / f"{stream}{number}.txt" for stream in ("out", "err")]
        return "".join(file.read_text() for file in files if file.exists())

    def ps(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in json.loads(self.cli("ps", "--json", check=0).stdout)}

    def wait_for(self, what: Callable[[Snapshot], bool], timeout: float = DEADLINE_S) -> Snapshot:
        """The first picture of which `what` is true; fails with the last one seen after `timeout`."""
        until = time.monotonic() + timeout
        revision, last = -1, None
        while (left := until - time.monotonic()) > 0:
            try:
                last = self.client.status(revision, min(left, 5.0))
            except NotRunning:
                if any(p.poll() is not None for p in self.started[-1:]):
                    raise AssertionError(f"launchpad ended\n{self.output(len(self.started) - 1)}") from None
                wait_a_little()
                continue
            if what(last):
                return last
            revision = last.rev
        raise AssertionError(f"not seen within {timeout} s; last: {last}\n{self.output()}")

    def wait_state(self, name: str, *states: str, timeout: float = DEADLINE_S) -> ServiceView:
        """The service once it is in one of these states."""
        snapshot = self.wait_for(
            lambda s: any(v.name == name and v.state in states for v in s.services), timeout
        )
        return next(view for view in snapshot.services if view.name == name)

    def wait_up(self, timeout: float = DEADLINE_S) -> dict[str, ServiceView]:
        return {view.name: view for view in self.wait_for(lambda s: s.phase == "up", timeout).services}

    def survivors(self) -> dict[int, str]:
        """Living processes that carry the mark: pid → command line."""
        return dict(marked(self.mark))

    def end(self) -> None:
        """End everything that carries the mark."""
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        until = time.monotonic() + 20
        while (left := self.survivors()) and time.monotonic() < until:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            wait_a_little()


def marked(mark: str) -> Iterator[tuple[int, str]]:
    """Living processes (no zombies) with this mark in their environment, but for this one."""
    want = f"LP_TEST_MARK={mark}".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            environ = Path(f"/proc/{entry}/environ").read_bytes()
            state = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[0]
            command = (
                Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
        except OSError:
            continue
        if want in environ.split(b"\0") and state not in "ZX":
            yield int(entry), command


def wait_a_little() -> None:
    """Between two looks at something that tells nobody when it changes; always within a deadline."""
    time.sleep(0.02)


def eventually(true: Callable[[], Any], what: str, timeout: float = DEADLINE_S) -> Any:
    """The first true value; fails after `timeout`."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if value := true():
            return value
        wait_a_little()
    raise AssertionError(f"not within {timeout} s: {what}")


def alive(pid: int) -> bool:
    """Whether it lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def fire(pipe: Path) -> None:
    """Open a named pipe for writing as soon as somebody reads it: the actor's `--ready-when`, `--exit-when`."""

    def opened() -> bool:
        try:
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return False
        return True

    eventually(opened, f"somebody waits at {pipe}")


def get(url: str, timeout: float = 30.0) -> httpx.Response:
    """A GET that no proxy sees."""
    with httpx.Client(trust_env=False, timeout=timeout) as client:
        return client.get(url)


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that nobody has now, outside of what `auto` and the kernel use."""
    for _ in range(200):
        first = random.randrange(29600, 32700 - count)
        if all(is_free(number) for number in range(first, first + count)):
            return first
    raise AssertionError("no free ports on this machine")


def is_free(number: int) -> bool:
    """Whether nobody has this port, on either loopback."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as probe:
            try:
                probe.bind((host, number))
            except OSError:
                return False
    return True


def listens(number: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens there; what is left of connections that have ended does not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError:
            return True
    return False


def listening(*ports: int, host: str = "127.0.0.1") -> list[socket.socket]:
    """Sockets of this very process that listen there; the caller closes them."""
    opened = []
    for port in ports:
        one = socket.create_server((host, port))
        opened.append(one)
    return opened


def rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def in_order(times: Sequence[int]) -> bool:
    return all(earlier < later for earlier, later in itertools.pairwise(times))


def environ_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
