"""Ends a stack whose supervisor dies without a word.

A process of its own that waits on a pipe. Dismissed, it leaves; when the pipe ends without that, the
supervisor is dead (killed, or broken) and everything of the stack is killed at once. It keeps the stack's
lock until then, so that nobody starts the stack anew meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import signal

from launchpad.hosts.local.orphans import end_stack
from launchpad.hosts.local.process_children import claim, disclaim
from launchpad.paths import StackPaths

DISMISSED = b"."


class Guardian:
    """Must be made before there are threads; `dismiss` when nothing of the stack lives any more."""

    def __init__(self, paths: StackPaths) -> None:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(write_end)
                _guard(paths, read_end)
            finally:
                os._exit(0)
        os.close(read_end)
        self._rope = write_end
        claim(self.pid)

    def dismiss(self) -> None:
        try:
            os.write(self._rope, DISMISSED)
        except OSError:
            pass  # it is gone already
        os.close(self._rope)
        os.waitpid(self.pid, 0)
        disclaim(self.pid)


def _guard(paths: StackPaths, read_end: int) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    _close_all_but(read_end, os.path.realpath(paths.lock))
    if os.read(read_end, 1) != DISMISSED:
        asyncio.run(end_stack(paths, 0.0))


def _close_all_but(fd: int, lock: str) -> None:
    """Whoever waits for the end of our terminal or pipes must not wait for the guardian."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for entry in os.listdir("/proc/self/fd"):
        number = int(entry)
        if number > 2 and number != fd and _target(number) != lock:
            try:
                os.close(number)
            except OSError:
                pass


def _target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
