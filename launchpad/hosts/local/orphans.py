"""Ends what a stack left behind when its supervisor died.

Finds it by the records, trusted only together with start time and boot, by the stack's cgroup where it could have
one, by the markers in every process's environment, and, where a program has wiped that (a title written over it,
`env -i`), by the log that it writes to. The caller must hold the stack's lock: no supervisor may be at work on it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from launchpad.core.model import Handle
from launchpad.hosts.local import cgroup, process
from launchpad.hosts.local.process import Stat
from launchpad.hosts.local.records import Record, read_records, remove_records
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


class Survivor(Struct, frozen=True):
    """A process that could not be ended. `service` is empty where it cannot be told."""

    pid: int
    command: str
    service: str = ""


class Left(Struct, frozen=True):
    """What lives of a stack: its main processes (by service) and everything that belongs to it."""

    mains: dict[str, Stat]
    all: list[Stat]


def left_of(paths: StackPaths) -> Left:
    """What lives of this stack now, whoever supervises it."""
    return Look(paths, read_records(paths), grouped=True).left()


def end_stack(
    paths: StackPaths, grace_s: float | None = None, signals: Mapping[str, int] | None = None
) -> list[Survivor]:
    """End everything of this stack, see `end`. Records of what has gone are removed."""
    records = read_records(paths)
    look = Look(paths, records, grouped=True)
    survivors = end(look.left, records, grace_s, signals)
    _tidy(paths, records, survivors)
    cgroup.remove(look.run_ids)
    return [_survivor(one) for one in survivors]


def end(
    left: Callable[[], Left],
    records: Sequence[Record],
    grace_s: float | None = None,
    signals: Mapping[str, int] | None = None,
) -> list[Stat]:
    """End what `left` finds: the main processes are asked, each when those that need it are gone, each by its own
    stop signal (or what `signals` says) and given its own grace (or `grace_s`); then what is left of their trees;
    then all is killed. Returns what lives even so."""
    rest_s = REST_S if grace_s is None else min(grace_s, REST_S)

    def look() -> list[Stat]:
        return left().all

    _mains_gone(lambda: left().mains, {one.service: one for one in records}, grace_s, signals or {})
    if rest := look():
        signal_all(rest, signal.SIGTERM)
        _gone(look, rest_s)
    deadline = time.monotonic() + KILL_S
    quiet = 0  # a process in the middle of exec shows no environment: look twice
    while quiet < 2 and time.monotonic() < deadline:
        quiet = 0 if kill_all(look) else quiet + 1
        _gone(look, LOOK_S)
    return look()


def left_by(records: Iterable[Record], members: Iterable[Stat]) -> Left:
    """These processes, and which of them are main ones."""
    stats = {one.pid: one for one in members}
    mains = {
        record.service: stats[record.handle.pid]
        for record in records
        if record.handle is not None and _is_same(record.handle, stats.get(record.handle.pid))
    }
    return Left(mains, [stats[pid] for pid in sorted(stats)])


class Look:
    """Finds what lives of a stack, and whose it is. What was found once is known from then on: what led to it may
    be gone the next time. `grouped`: also what only the stack's cgroup tells, so not to whom of the stack it belongs."""

    def __init__(self, paths: StackPaths, records: Sequence[Record], *, grouped: bool = False) -> None:
        self._records = list(records)
        self._grouped = grouped
        self.run_ids = {record.run_id for record in records}
        if (registration := registration_in(paths.registration)) is not None:
            self.run_ids.add(registration.run_id)
        self._logs = _logs(paths)
        self._newest = {record.service: record.attempt for record in records}
        self._seen: dict[Key, int] = {}

    def left(self) -> Left:
        return left_by(self._records, [one for members in self.owners().values() for one in members])

    def know(self, members: Iterable[Stat]) -> None:
        """These belong to the stack, to whatever attempt."""
        self._seen.update(((one.pid, one.start), 0) for one in members)

    def owners(self, records: Sequence[Record] | None = None) -> dict[int, list[Stat]]:
        """Attempt → its live processes; 0 for those whose attempt cannot be told."""
        stats = {pid: one for pid in process.pids() if (one := process.stat(pid)) is not None and one.lives}
        stats.pop(os.getpid(), None)
        sessions = self._sessions(self._records if records is None else records)
        found = {
            pid: owner for pid, one in stats.items() if (owner := self._owner(one, sessions)) is not None
        }
        below = [pid for pid in stats if pid not in found]
        while new := {pid: found[stats[pid].parent] for pid in below if stats[pid].parent in found}:
            found.update(new)
            below = [pid for pid in below if pid not in new]
        owners: dict[int, list[Stat]] = {}
        for pid, owner in found.items():
            self._seen[pid, stats[pid].start] = owner
            owners.setdefault(owner, []).append(stats[pid])
        return owners

    def _sessions(self, records: Sequence[Record]) -> dict[int, int]:
        """Session → attempt, of those whose leader is there, if only as a zombie. Of another one nobody can say whether
        the number was given anew."""
        return {
            one.handle.pid: one.attempt
            for one in records
            if one.handle is not None and _is_same(one.handle, process.stat(one.handle.pid))
        }

    def _owner(self, one: Stat, sessions: Mapping[int, int]) -> int | None:
        known = self._seen.get((one.pid, one.start), sessions.get(one.session))
        if known is not None:
            return known
        marks = process.marks(one.pid)
        if marks is not None and marks.run_id in self.run_ids:
            return marks.attempt
        if self._grouped and not self.run_ids.isdisjoint(cgroup.runs_of(one.pid)):
            return 0
        service = None if marks is not None else _prints_to(one.pid, self._logs)
        return None if service is None else self._newest.get(service, 0)


def _logs(paths: StackPaths) -> dict[Inode, str]:
    """The files that this stack's processes print to, and whose they are."""
    found = {}
    with contextlib.suppress(OSError), os.scandir(paths.logs_dir) as entries:
        for one in entries:
            if one.is_file(follow_symlinks=False):
                status = one.stat(follow_symlinks=False)
                found[status.st_dev, status.st_ino] = one.name.removesuffix(".log")
    return found


def _prints_to(pid: int, logs: Mapping[Inode, str]) -> str | None:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            status = os.stat(f"/proc/{pid}/fd/{descriptor}")
            if (status.st_dev, status.st_ino) in logs:
                return logs[status.st_dev, status.st_ino]
    return None


def _is_same(handle: Handle, one: Stat | None) -> bool:
    return one is not None and one.start == handle.start and handle.boot == process.boot_id()


def _mains_gone(
    look: Callable[[], dict[str, Stat]],
    records: Mapping[str, Record],
    grace_s: float | None,
    signals: Mapping[str, int],
) -> None:
    """Return once each main process is gone or has used up its grace; the latter ones are killed meanwhile."""
    until: dict[str, float] = {}
    while members := look():
        waiting = [service for service in members if service not in until]
        held = {need for service in members for need in records[service].needs if need != service}
        free = [service for service in waiting if service not in held]
        for service in free or ([] if until.keys() & members.keys() else waiting):
            stop = records[service].stop
            until[service] = time.monotonic() + (stop.grace_s if grace_s is None else grace_s)
            signal_all([members[service]], signals.get(service, stop.signal))
        asked = {service: one for service, one in members.items() if service in until}
        late = [service for service in asked if until[service] <= time.monotonic()]
        signal_all([asked[service] for service in late], signal.SIGKILL)
        if len(late) == len(members):
            return
        left = [until[service] - time.monotonic() for service in asked if service not in late]
        _any_ends(list(members.values()), min(LOOK_S, *left) if left else LOOK_S)


def _gone(look: Callable[[], list[Stat]], patience_s: float) -> None:
    """Return once nothing is left, or after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while (members := look()) and (left := deadline - time.monotonic()) > 0:
        _any_ends(members, min(left, LOOK_S))


def _any_ends(members: list[Stat], timeout_s: float) -> None:
    """Return when one of these has ended, or after `timeout_s`."""
    ended = select.poll()
    fds = []
    for one in members[:100]:
        with contextlib.suppress(OSError, AttributeError):
            fds.append(os.pidfd_open(one.pid))
            ended.register(fds[-1], select.POLLIN)
    try:
        ended.poll(1000 * max(0.0, timeout_s if fds else min(timeout_s, 0.05)))
    finally:
        for fd in fds:
            os.close(fd)


def _tidy(paths: StackPaths, records: list[Record], survivors: list[Stat]) -> None:
    attempts = {marks.attempt for one in survivors if (marks := process.marks(one.pid))}
    alive = {one.pid for one in survivors}
    remove_records(
        paths,
        [
            one.attempt
            for one in records
            if one.attempt not in attempts and (one.handle is None or one.handle.pid not in alive)
        ],
    )
    registration = registration_in(paths.registration)
    if not survivors and registration is not None and not process.alive(registration.supervisor):
        with contextlib.suppress(OSError):
            os.unlink(paths.registration)


def _survivor(one: Stat) -> Survivor:
    marks = process.marks(one.pid)
    return Survivor(one.pid, process.command_line(one.pid), "" if marks is None else marks.service)
