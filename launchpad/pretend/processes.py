"""Processes that a rehearsed program leaves behind, and the marks by which a test sees them.

Decides how they detach; refuses to know why. Everything here runs before the actor has threads.
"""

from __future__ import annotations

import os
import time


def append_line(path: str, line: str) -> None:
    """One write with O_APPEND: lines of several processes do not mix."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


Lingering = tuple[str | None, float, int]
"""The file for pids, seconds to stay, and a descriptor that each closes when it has come so far."""


def leave_behind(kind: str, pids: str | None, lifetime_s: float) -> None:
    """Start the process or processes of this kind: plain, setsid, double, bomb:N. Returns in the caller only, once each
    of them is what it is to be, and has written down its pid."""
    waits, says = os.pipe()
    lingering = (pids, lifetime_s, says)
    if kind.startswith("bomb:"):
        _bomb(int(kind.removeprefix("bomb:")), lingering)
    elif kind == "double":
        _daemon(lingering)
    elif os.fork() == 0:
        if kind == "setsid":
            os.setsid()
        _linger(lingering)
    os.close(says)
    os.read(waits, 1)  # the end comes when nobody has the other side any more
    os.close(waits)


def go_on_in_child(wait: bool) -> None:
    """Return in a new child only. The first process exits 0 at once, or waits and ends as the child ended."""
    child = os.fork()
    if child == 0:
        return
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if wait else 0
    os._exit(code if code >= 0 else 128 - code)


def _linger(how: Lingering) -> None:
    """Stay for so long and do nothing. Bounded, so that a forgotten rehearsal does not stay for ever."""
    pids, lifetime_s, says = how
    if pids:
        append_line(pids, str(os.getpid()))
    os.close(says)
    time.sleep(min(lifetime_s, 10**8))
    os._exit(0)


def _daemon(how: Lingering) -> None:
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    _linger(how)


def _bomb(count: int, how: Lingering) -> None:
    """A tree of `count` processes: each starts two smaller trees below it, the second in its own session."""
    for share, detached in ((count - count // 2, False), (count // 2, True)):
        if share and os.fork() == 0:
            if detached:
                os.setsid()
            _bomb(share - 1, how)
            _linger(how)


def die_of(signal_number: int) -> None:
    """End this process, from any thread, by a signal that it does not handle, and without a core file."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    os.kill(os.getpid(), signal_number)
