"""What the kernel says of one process: who it is, whose child, what it was started as.

Reads /proc only and signals nothing by a bare number: a pid is trusted together with its start time.
Refuses to know which service a process belongs to (`tree` does) and whether it should live.
"""

from __future__ import annotations

import os
import signal
import time
from functools import cache

from msgspec import Struct

from launchpad.core.model import Handle
from launchpad.hosts.local import descriptors

RUN = "LAUNCHPAD_RUN"
ATTEMPT = "LAUNCHPAD_ATTEMPT"
SERVICE = "LAUNCHPAD_SERVICE"
"""Markers in a child's environment, by which processes that left its session are found again."""

TICKS = os.sysconf("SC_CLK_TCK")


class Stat(Struct, frozen=True):
    """One line of /proc/PID/stat. `start` in ticks since boot, `cpu_s` with that of children it waited for."""

    pid: int
    name: str
    state: str
    parent: int
    session: int
    start: int
    cpu_s: float
    threads: int = 1

    @property
    def lives(self) -> bool:
        """A process whose first thread has ended looks like a zombie while its other threads run."""
        return self.state not in "ZX" or self.threads > 1


class Marks(Struct, frozen=True):
    run_id: str
    attempt: int
    service: str


@cache
def boot_id() -> str:
    return _read("/proc/sys/kernel/random/boot_id").decode().strip()


def stat(pid: int) -> Stat | None:
    """None if there is no such process."""
    raw = _read(f"/proc/{pid}/stat")
    close = raw.rfind(b")")
    if close < 0:
        return None
    name = raw[raw.find(b"(") + 1 : close].decode(errors="replace")
    f = raw[close + 2 :].split()
    cpu = sum(map(int, f[11:15])) / TICKS
    return Stat(pid, name, f[0].decode(), int(f[1]), int(f[3]), int(f[19]), cpu, int(f[17]))


def handle_of(pid: int) -> Handle | None:
    """What names this process for ever; None if it does not exist. A zombie still has one."""
    found = stat(pid)
    return None if found is None else Handle(pid, found.start, boot_id())


def alive(handle: Handle) -> bool:
    """This very process exists and has not ended (a zombie has)."""
    return living(handle) is not None


def living(handle: Handle) -> Stat | None:
    found = stat(handle.pid) if handle.boot == boot_id() else None
    return found if found is not None and found.start == handle.start and found.lives else None


def send(pid: int, start: int, number: int, held: int | None = None) -> bool:
    """Signal exactly this process; False when it is gone or another has its pid. `held` is a descriptor of it.

    Raises PermissionError when it may not be signalled (it runs as another user).
    """
    if held is not None:
        return _send_held(held, number)
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except (AttributeError, OSError):
        return _send_unheld(pid, start, number)
    try:
        if not _is(pid, start):
            return False
        return _send_held(fd, number)
    finally:
        os.close(fd)


def _send_held(pidfd: int, number: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def _send_unheld(pid: int, start: int, number: int) -> bool:
    """For kernels without pidfds: nothing but the moment between look and kill is unguarded."""
    if not _is(pid, start):
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _is(pid: int, start: int) -> bool:
    found = stat(pid)
    return found is not None and found.start == start


def children(pid: int) -> list[int]:
    """Pids whose parent this is, zombies too. May miss some while they come and go; for the caller's own
    children, which only the caller can reap, it does not."""
    found: list[int] = []
    try:
        threads = descriptors.surely(lambda: os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return found
    for thread in threads:
        found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


@cache
def children_are_listed() -> bool:
    """Whether the kernel keeps /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN)."""
    return os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def pids() -> list[int]:
    return [int(name) for name in descriptors.surely(lambda: os.listdir("/proc")) if name.isdigit()]


def parents() -> dict[int, list[int]]:
    """Parent → children, of the whole machine."""
    found: dict[int, list[int]] = {}
    for pid in pids():
        if (one := stat(pid)) is not None:
            found.setdefault(one.parent, []).append(pid)
    return found


def started_at(one: Stat) -> float:
    """In seconds since the epoch."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + one.start / TICKS


def environment(pid: int) -> dict[str, str]:
    """What it was started with, as far as it can be seen; empty for processes of other users."""
    pairs = _read(f"/proc/{pid}/environ").decode(errors="surrogateescape").split("\0")
    return {key: value for key, equals, value in (pair.partition("=") for pair in pairs) if equals}


def marks(pid: int) -> Marks | None:
    """The markers it was started with; None without them, and for processes of other users."""
    raw = _read(f"/proc/{pid}/environ")
    if RUN.encode() not in raw:
        return None
    found = dict(pair.partition(b"=")[::2] for pair in raw.split(b"\0"))
    try:
        attempt = int(found[ATTEMPT.encode()])
    except (KeyError, ValueError):
        return None
    return Marks(
        found.get(RUN.encode(), b"").decode(errors="replace"),
        attempt,
        found.get(SERVICE.encode(), b"").decode(errors="replace"),
    )


def is_marked(pid: int, run_id: str, attempt: int) -> bool:
    found = marks(pid)
    return found is not None and (found.run_id, found.attempt) == (run_id, attempt)


def command_line(pid: int, limit: int = 80) -> str:
    """As people know it, cut at `limit` characters; the kernel's short name where there is no other."""
    words = _read(f"/proc/{pid}/cmdline").decode(errors="replace").rstrip("\0").split("\0")
    text = " ".join(words).strip()
    if not text:
        found = stat(pid)
        text = "?" if found is None else found.name
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def find_by_run(run_id: str) -> list[tuple[int, int, str]]:
    """(pid, attempt, service) of every live process that was started in this run, or by such a process."""
    found = []
    for pid in pids():
        seen = marks(pid)
        if seen is None or seen.run_id != run_id:
            continue
        one = stat(pid)
        if one is not None and one.lives:
            found.append((pid, seen.attempt, seen.service))
    return found


def main_of(run_id: str, attempt: int) -> Handle | None:
    """The process that was started as this attempt, looked for by its markers: it leads the session that it was
    given, or is about to become what it shall be."""
    own = [one for pid, owner, _ in find_by_run(run_id) if owner == attempt and (one := stat(pid))]
    leaders = [one for one in own if one.session == one.pid]
    first = min(leaders, key=lambda one: (one.start, one.pid), default=None)
    return None if first is None else Handle(first.pid, first.start, boot_id())


def _read(path: str) -> bytes:
    """Whole, or empty if it cannot be read: a process may end at any time."""
    try:
        return descriptors.surely(lambda: _read_all(path))
    except OSError:
        return b""


def _read_all(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)
