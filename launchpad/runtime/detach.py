"""`up -d`: the supervisor goes on in a process of its own; the caller watches until the start is decided.

The two are joined by a pipe on which the supervisor writes a picture (one JSON line) for each change,
until everything is up or something failed; then it closes the pipe and the caller leaves.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from launchpad.control.api import Snapshot, from_json, to_json
from launchpad.errors import ExitCode
from launchpad.paths import StackPaths

if TYPE_CHECKING:
    from launchpad.runtime.session import Session


def decided(snapshot: Snapshot) -> bool:
    """Everything is up, or something failed for good."""
    return snapshot.phase in ("up", "finished") or bool(snapshot.failed)


def fork_supervisor(session: Session, paths: StackPaths) -> tuple[int, PipeFeed]:
    """Returns, in the caller, the supervisor's pid and what it tells, with SIGINT blocked until the caller can
    hand it on. Must be called without threads."""
    read_end, write_end = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    pid = os.fork()
    if pid:
        os.close(write_end)
        session.keeper.abandon()  # it is the child's
        return pid, PipeFeed(read_end)
    code = 3
    try:
        os.close(read_end)
        _become_daemon(paths)
        session.begin = lambda: session.reporting(_report(write_end))
        code = session.run()
    finally:
        os._exit(code)


def _become_daemon(paths: StackPaths) -> None:
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    log = os.open(paths.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)


def _report(write_end: int) -> Callable[[Snapshot], bool]:
    """Sends a picture; False when nobody needs another one."""

    def send(snapshot: Snapshot) -> bool:
        line = json.dumps(to_json(snapshot)).encode() + b"\n"
        over = decided(snapshot)
        try:
            while line:
                line = line[os.write(write_end, line) :]
        except OSError:
            over = True
        if over:
            os.close(write_end)
        return not over

    return send


class PipeFeed:
    """A `views.console.Feed` over that pipe."""

    def __init__(self, read_end: int) -> None:
        self._fd = read_end
        self._buffer = b""
        self._open = True
        self.last: Snapshot | None = None

    def wait(self, after_rev: int, timeout_s: float) -> Snapshot:
        """Raises EOFError when the supervisor ended without a word, ConnectionError when there is nothing
        newer and will not be."""
        while self._open and (self.last is None or self.last.rev <= after_rev):
            if self.last is not None and not select.select([self._fd], [], [], timeout_s)[0]:
                break
            self._read()
        if self.last is None:
            raise EOFError("the supervisor ended before it could say anything")
        if not self._open and self.last.rev <= after_rev:
            raise ConnectionError("the supervisor tells no more")
        return self.last

    def _read(self) -> None:
        data = os.read(self._fd, 1 << 20)
        if not data:
            self._open = False
            os.close(self._fd)
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if lines:
            self.last = from_json(Snapshot, json.loads(lines[-1]))


def let_interrupts_in() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt, unless whoever started us has it ignored."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def start_code(snapshot: Snapshot | None) -> int:
    """The exit code of `up -d` when the start is decided."""
    if snapshot is None:
        return int(ExitCode.BROKEN)
    if snapshot.phase == "finished":
        return snapshot.code or 0
    return int(ExitCode.FAILED if snapshot.failed else ExitCode.OK)
