"""Processes of this machine: whose children they are, what they cost, when they end, and how they are ended."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from collections.abc import Iterable
from pathlib import Path

SET_PDEATHSIG, SET_CHILD_SUBREAPER = 1, 36


def keep_orphans() -> None:
    """From now on orphans below this process become its children; so `descendants` are all that was started."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> None:
    """SIGTERM for this process when its parent is killed."""
    ctypes.CDLL(None).prctl(SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _stat(pid: int) -> list[str]:
    """Fields from the state on; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pid: int) -> bool:
    return _stat(pid)[:1] not in ([], ["Z"], ["X"])


def descendants(root: int) -> list[int]:
    """All that live below a process, itself not among them."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))) and fields[0] not in "ZX":
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def end_all(root: int, deadline_s: float = 10.0) -> list[int]:
    """SIGKILL for all below a process until nothing is left; what is left all the same."""
    until = time.monotonic() + deadline_s
    while left := descendants(root):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        reap()
        if time.monotonic() > until:
            return left
        time.sleep(0.005)
    reap()
    return []


def reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


class Ends:
    """Waits for the ends of processes; made before they are asked to end, so that none is missed."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._poll = select.poll()
        self._left: set[int] = set()
        for pid in pids:
            try:
                fd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            self._left.add(fd)
            self._poll.register(fd, select.POLLIN)

    def wait(self, until: float) -> bool:
        """Whether all have ended by that time of the monotonic clock (seconds)."""
        while self._left and (rest := until - time.monotonic()) > 0:
            for fd, _ in self._poll.poll(rest * 1000):
                self._poll.unregister(fd)
                os.close(fd)
                self._left.discard(fd)
        return not self._left


def cpu_s(pids: Iterable[int]) -> float:
    """On the processor so far, in seconds: of live threads, to the nanosecond."""
    total = 0.0
    for pid in pids:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def pss_mb(pids: Iterable[int]) -> float:
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        total += next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
    return total / 1024
