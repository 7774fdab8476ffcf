"""Whether the kernel ended a process for lack of memory, as far as that can be proved.

A SIGKILL says nothing about its sender. The kernel counts such deaths, and names them in its log where
that may be read; without either nothing is claimed.
"""

from __future__ import annotations

import os
import re

ENDED = "the kernel ended it for lack of memory"
LIKELY = "the kernel ended a process for lack of memory at that time"


class OomWatch:
    def __init__(self) -> None:
        self._count = _count()

    def note(self, pid: int) -> str:
        """About a process that got a SIGKILL just now; empty if nothing is known."""
        count = _count()
        if count == self._count:
            return ""
        self._count = count
        named = _named_in_log(pid)
        if named is None:
            return LIKELY
        return ENDED if named else ""


def _count() -> int:
    """Processes that the kernel has ended for lack of memory since boot."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


def _named_in_log(pid: int) -> bool | None:
    """None when the kernel's log may not be read."""
    try:
        fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    wanted = re.compile(rb"Killed process %d \(" % pid)
    try:
        while True:
            try:
                entry = os.read(fd, 8192)
            except BrokenPipeError:  # that entry was overwritten meanwhile
                continue
            if wanted.search(entry):
                return True
    except OSError:  # BlockingIOError: the end of the log
        return False
    finally:
        os.close(fd)
