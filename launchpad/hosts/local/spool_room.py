"""Whether what services print has room: looks at the disk under their logs, now and then.

A service writes its log by itself, so a full disk is told to the service alone (ENOSPC), and a service that
prints nothing is told by nobody. No kernel sends an event when a disk is full, so this looks by a timer, in a
thread, since a slow disk may hold up even that. Decides what is said of it; cannot help.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

from launchpad.hosts.local.sinks_pool import Pool

LOOK_S = 5.0
LOOK_AGAIN_S = 0.5
"""Between two looks while something is wrong."""
LOW_BYTES = 8 << 20
"""With less than that, it is tried whether something can be written."""


class Room:
    """`tell` is given a text when it becomes known that output is lost, and again when it is kept again.
    `problem` is "" while all is well. Needs a running loop."""

    def __init__(self, folder: Path, pool: Pool, tell: Callable[[str], None]) -> None:
        self.problem = ""
        self._folder, self._pool, self._tell = folder, pool, tell
        self._loop = asyncio.get_running_loop()
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._arm()

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        after = LOOK_AGAIN_S if self.problem else LOOK_S
        self._timer = self._loop.call_later(after, lambda: self._pool.submit(self._look_in_thread))

    def _look_in_thread(self) -> None:
        problem = what_is_wrong(self._folder)
        try:
            self._loop.call_soon_threadsafe(self._seen, problem)
        except RuntimeError:
            pass  # the loop has ended

    def _seen(self, problem: str) -> None:
        if self._closed:
            return
        now, was = self._loop.time(), self.problem
        self.problem = problem
        if problem and not was:
            self._since = now
            self._tell(problem)
        elif was and not problem:
            lost_s = now - self._since + LOOK_S
            self._tell(f"output is kept again; of the last {lost_s:.0f} s some may be missing")
        self._arm()


def what_is_wrong(folder: Path) -> str:
    """Why nothing more can be written there, in words; "" if something can."""
    try:
        status = os.statvfs(folder)
        room = status.f_bavail * status.f_frsize
        if room >= LOW_BYTES:
            return ""
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            written = os.write(descriptor, b"\0" * 4096)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return f"{folder} was deleted: a service prints to nowhere until it is started again"
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"there is no room under {folder}: what services print is lost until there is"
        return ""  # this file system cannot say, or descriptors have run out
    return "" if written == 4096 else f"there is hardly room under {folder}"
