"""Ends what a stack left behind when its supervisor died.

Finds it by the records, trusted only together with start time and boot, by the stack's cgroup where it could have
one, by the markers in every process's environment, and, where a program has wiped that (a title written over it,
`env -i`), by the log that it writes to. The caller must hold the stack's lock: no supervisor may be at work on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from launchpad.core.model import Handle
from launchpad.hosts.local import cgroup, process
from launchpad.hosts.local.process import Stat
from launchpad.hosts.local.records import Record, read_records, remove_record
from launchpad.hosts.local.registry import registration_in
from launchpad.hosts.local.tree import Key
from launchpad.hosts.local.tree_end import kill_all, signal_all
from launchpad.paths import StackPaths

Inode = tuple[int, int]
"""Device and number: one file for ever."""

REST_S = 2.0
"""How long processes below a main one get after it has gone, or has used up its grace."""
KILL_S = 5.0
LOOK_S = 0.5
"""How often it is looked again while waiting: processes that are started meanwhile send no event."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """A process that could not be ended. `service` is empty where it cannot be told."""

    pid: int
    command: str
    service: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """What lives of a stack: its main processes (by service) and everything that belongs to it."""

    mains: dict[str, Stat]
    all: list[Stat]


def left_of(paths: StackPaths) -> Left:
    """What lives of this stack now, whoever supervises it."""
    return _look(read_records(paths), _run_ids(paths), _logs(paths))


async def end_stack(
    paths: StackPaths, grace_s: float | None = None, signals: Mapping[str, int] | None = None
) -> list[Survivor]:
    """End everything of this stack: the main processes are asked, all at once, each by its own stop signal
    (or what `signals` says) and given its own grace (or `grace_s`); then what is left of their trees; then all
    is killed. Returns what lives even so. Records of what has gone are removed."""
    records, run_ids = read_records(paths), _run_ids(paths)
    stops = {record.service: record.stop for record in records}
    rest_s = REST_S if grace_s is None else min(grace_s, REST_S)

    logs, seen = _logs(paths), set[Key]()

    def left() -> Left:
        found = _look(records, run_ids, logs, seen)
        seen.update((one.pid, one.start) for one in found.all)  # what led to it may be gone the next time
        return found

    def look() -> list[Stat]:
        return left().all

    def mains() -> dict[str, Stat]:
        return left().mains

    for service, main in mains().items():
        signal_all([main], (signals or {}).get(service, stops[service].signal))
    patience = {service: stop.grace_s if grace_s is None else grace_s for service, stop in stops.items()}
    await _mains_gone(mains, patience)
    if rest := look():
        signal_all(rest, signal.SIGTERM)
        await _gone(look, rest_s)
    deadline = asyncio.get_running_loop().time() + KILL_S
    quiet = 0  # a process in the middle of exec shows no environment: look twice
    while quiet < 2 and asyncio.get_running_loop().time() < deadline:
        quiet = 0 if kill_all(look) else quiet + 1
        await _gone(look, LOOK_S)
    survivors = look()
    _tidy(paths, records, survivors)
    cgroup.remove(run_ids)
    return [_survivor(one) for one in survivors]


def _run_ids(paths: StackPaths) -> set[str]:
    found = {record.run_id for record in read_records(paths)}
    registration = registration_in(paths.registration)
    return found | ({registration.run_id} if registration is not None else set())


def _logs(paths: StackPaths) -> set[Inode]:
    """The files that this stack's processes print to."""
    found = set()
    with contextlib.suppress(OSError), os.scandir(paths.logs_dir) as entries:
        found = {
            (status.st_dev, status.st_ino)
            for one in entries
            if one.is_file(follow_symlinks=False) and (status := one.stat(follow_symlinks=False))
        }
    return found


def _prints_to(pid: int, logs: set[Inode]) -> bool:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            status = os.stat(f"/proc/{pid}/fd/{descriptor}")
            if (status.st_dev, status.st_ino) in logs:
                return True
    return False


def _look(
    records: list[Record], run_ids: set[str], logs: set[Inode], seen: Container[Key] = frozenset()
) -> Left:
    stats = {pid: one for pid in process.pids() if (one := process.stat(pid)) is not None and one.lives}
    stats.pop(os.getpid(), None)
    mains = {
        record.service: stats[record.handle.pid]
        for record in records
        if record.handle is not None and _is_same(record.handle, stats.get(record.handle.pid))
    }
    found = {one.pid for one in mains.values()}
    found |= {pid for pid, one in stats.items() if one.session in found}
    found |= {pid for pid, one in stats.items() if (pid, one.start) in seen}
    found |= {pid for pid in stats if not run_ids.isdisjoint(cgroup.runs_of(pid))}
    for pid in stats.keys() - found:
        marks = process.marks(pid)
        if marks.run_id in run_ids if marks is not None else _prints_to(pid, logs):
            found.add(pid)
    while below := {pid for pid, one in stats.items() if one.parent in found} - found:
        found |= below
    return Left(mains, [stats[pid] for pid in sorted(found)])


def _is_same(handle: Handle, one: Stat | None) -> bool:
    return one is not None and one.start == handle.start and handle.boot == process.boot_id()


async def _mains_gone(look: Callable[[], dict[str, Stat]], patience_s: Mapping[str, float]) -> None:
    """Return once each main process is gone or has used up its grace; the latter ones are killed meanwhile."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while members := look():
        passed = loop.time() - begun
        left = [patience_s[service] - passed for service in members if patience_s[service] > passed]
        signal_all([one for service, one in members.items() if patience_s[service] <= passed], signal.SIGKILL)
        if not left:
            return
        await _any_ends(list(members.values()), min(LOOK_S, *left))


async def _gone(look: Callable[[], list[Stat]], patience_s: float) -> None:
    """Return once nothing is left, or after `patience_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while (members := look()) and (left := deadline - loop.time()) > 0:
        await _any_ends(members, min(left, LOOK_S))


async def _any_ends(members: list[Stat], timeout_s: float) -> None:
    """Return when one of these has ended, or after `timeout_s`."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    fds = []
    for one in members[:100]:
        with contextlib.suppress(OSError, AttributeError):
            fds.append(os.pidfd_open(one.pid))
    for fd in fds:
        loop.add_reader(fd, ended.set)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s if fds else min(timeout_s, 0.05)):
                await ended.wait()
    finally:
        for fd in fds:
            loop.remove_reader(fd)
            os.close(fd)


def _tidy(paths: StackPaths, records: list[Record], survivors: list[Stat]) -> None:
    attempts = {marks.attempt for one in survivors if (marks := process.marks(one.pid))}
    alive = {one.pid for one in survivors}
    for record in records:
        if record.attempt not in attempts and (record.handle is None or record.handle.pid not in alive):
            remove_record(paths, record.service, record.attempt)
    registration = registration_in(paths.registration)
    if not survivors and registration is not None and not process.alive(registration.supervisor):
        with contextlib.suppress(OSError):
            os.unlink(paths.registration)


def _survivor(one: Stat) -> Survivor:
    marks = process.marks(one.pid)
    return Survivor(one.pid, process.command_line(one.pid), "" if marks is None else marks.service)
