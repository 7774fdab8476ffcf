"""Helpers for tests on real processes: wait for what happens, with a deadline, and leave nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from launchpad.core.model import Handle
from launchpad.hosts.local import process, spawn

PATIENCE_S = 20.0
T = TypeVar("T")


def until(look: Callable[[], T], what: str = "it") -> T:
    """What `look` gives as soon as it is true; fails after a long while."""
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := look()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s for {what}"
        time.sleep(0.005)
    return seen


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **more}


def python(code: str, *args: str) -> list[str]:
    return [sys.executable, "-S", "-c", code, *args]


def launch(
    argv: list[str],
    folder: Path,
    env: Mapping[str, str] | None = None,
    listeners: list[tuple[str, int]] | None = None,
) -> Handle:
    """Start it with its output in `folder/log`."""
    with open(folder / "log", "ab") as log:
        return spawn.spawn(argv, env or environment(), str(folder), log.fileno(), listeners or [])


def code_of(handle: Handle) -> int:
    """Its exit code, once it has ended."""
    found: list[int] = []

    def ended() -> bool:
        code = spawn.wait(handle.pid)
        if code is not None:
            found.append(code)
        return bool(found)

    until(ended, "the process to end")
    return found[0]


@contextlib.contextmanager
def killed_after(handle: Handle) -> Iterator[Handle]:
    try:
        yield handle
    finally:
        if process.alive(handle):
            process.send(handle.pid, handle.start, signal.SIGKILL)
            code_of(handle)


@contextlib.contextmanager
def nothing_left_in(folder: Path) -> Iterator[None]:
    """A test that fails must not leave its processes: whatever works in `folder` afterwards is killed."""
    try:
        yield
    finally:
        for _ in range(100):
            for pid in (left := [pid for pid in process.pids() if folder in _working_dir(pid).parents]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not left:
                break


def _working_dir(pid: int) -> Path:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")) / "it"  # its parents include the folder itself
    except OSError:
        return Path("/")


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """For sockets, whose names have to be short."""
    with tempfile.TemporaryDirectory(prefix="lp-", dir="/tmp") as name:
        yield Path(name)


def free_number(low: int = 21000, high: int = 31000) -> int:
    """A port that nobody has at this moment, and a different one for each test process."""
    size = high - low
    for step in range(size):
        number = low + (os.getpid() * 37 + time.monotonic_ns() // 1000 + step) % size
        with socket.socket() as one, socket.socket(socket.AF_INET6) as other:
            try:
                one.bind(("127.0.0.1", number))
                other.bind(("::1", number))
            except OSError:
                continue
            return number
    raise AssertionError("no free port")


def free_range(size: int) -> int:
    """The lowest of `size` numbers in a row that are free."""
    for _ in range(200):
        low = free_number()
        with contextlib.ExitStack() as stack:
            try:
                for number in range(low, low + size):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            return low
    raise AssertionError("no free range")


def connects(number: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as client:
        client.settimeout(2)
        return client.connect_ex((host, number)) == 0


def can_bind(number: int, host: str = "127.0.0.1", *options: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        for option in options:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            sock.bind((host, number))
            sock.listen()
        except OSError:
            return False
        return True
