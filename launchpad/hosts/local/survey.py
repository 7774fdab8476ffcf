"""What an earlier supervisor of this stack left: which of its processes are to be taken over, and how others ended.

A record counts only together with start time and boot: a process that merely has the pid is nobody's business. One
without a pid (the supervisor died before it could write it down) is looked for by its markers. Of several
attempts of a service the newest that lives is taken over. All else that belongs to the stack by its markers, its
session or its log is a stray, to be ended before anything is started. Decides what is what; signals
nobody but the keeper of the dead supervisor, and starts nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace

from launchpad.core.model import Handle
from launchpad.hosts.local import keeper, process
from launchpad.hosts.local.orphans import Left, Look, end, left_by
from launchpad.hosts.local.process import Stat
from launchpad.hosts.local.process_end import end_of, open_pidfd
from launchpad.hosts.local.records import Record, read_records, remove_records
from launchpad.hosts.local.spool_reader import SpoolReader
from launchpad.paths import StackPaths


class Found(Struct, frozen=True):
    """One attempt. `pidfd` belongs to whoever takes it. `members` are the live processes of its tree; if its main
    process has ended, `record.code` says how."""

    record: Record
    pidfd: int | None
    members: tuple[Stat, ...]
    claims: tuple[socket.socket, ...] = ()
    """Those of its GPUs, from the keeper."""

    @property
    def lives(self) -> bool:
        return not self.record.ended


NOTHING = Left({}, [])


class Survey(Struct, frozen=True):
    """`rebooted`: there are records, and the machine was started anew since. `strays`: see above."""

    found: tuple[Found, ...] = ()
    strays: Left = NOTHING
    rebooted: bool = False
    claims: tuple[socket.socket, ...] = ()
    """Of all GPUs that the keeper held: strays keep theirs as long as this lives."""


def survey(paths: StackPaths, beside: Collection[int] = ()) -> Survey:
    """To be called with the stack's lock, and by whoever then takes over or ends what was found. Records of what is
    gone for good are removed. `beside`: attempts that are to replace another, which goes on if it lives."""
    records, old = _of_this_boot(paths)
    if not records and not paths.registration.exists():
        return Survey(rebooted=old)
    pidfds = {one.attempt: fd for one in records if one.handle and (fd := open_pidfd(one.handle)) is not None}
    claims = keeper.send_away(paths)
    records, _ = _of_this_boot(paths)  # with what the keeper knew
    look = Look(paths, records)
    records = [_judged(_completed(record), pidfds) for record in records]
    owners = look.owners(records)
    records = [_without_main(paths, record, owners) for record in records]
    kept = _chosen(records, beside)
    found = tuple(
        Found(
            record,
            pidfds.pop(record.attempt, None),
            tuple(owners.get(record.attempt, ())),
            claims.get(record.attempt, ()),
        )
        for record in kept
    )
    for fd in pidfds.values():
        os.close(fd)
    taken = {record.attempt for record in kept}
    strays = _strays(records, taken, owners)
    _forget(paths, [one for one in records if one.attempt not in taken], strays)
    return Survey(found, strays, old, tuple(one for some in claims.values() for one in some))


def _of_this_boot(paths: StackPaths) -> tuple[list[Record], bool]:
    """And whether there were others, which are removed: nothing of those lives."""
    known = read_records(paths)
    boots = ("", process.boot_id())
    here = [one for one in known if one.boot in boots]
    old = [one.attempt for one in known if one.boot not in boots]
    if old:
        remove_records(paths, old)
    return here, bool(old)


def _completed(record: Record) -> Record:
    if record.handle is not None or record.ended:
        return record
    return replace(record, handle=process.main_of(record.run_id, record.attempt))


def _without_main(paths: StackPaths, record: Record, owners: dict[int, list[Stat]]) -> Record:
    """An intent of which there is no main process may have been one: something of it lives, or a job has
    printed something."""
    if record.handle is not None or record.ended:
        return record
    printed = False
    if record.job:
        with contextlib.suppress(OSError):
            printed = SpoolReader(paths.log(record.service)).end() > record.log_start
    if not printed and not owners.get(record.attempt):
        return record
    return replace(record, handle=Handle(-1, 0, process.boot_id()), ended=True)


def _judged(record: Record, pidfds: dict[int, int]) -> Record:
    """As it is now. An intent that led to no process, of which nothing is known, stays without a handle."""
    if record.ended or record.handle is None:
        return record
    if record.attempt not in pidfds and (fd := open_pidfd(record.handle)) is not None:
        pidfds[record.attempt] = fd
    if process.alive(record.handle):
        return record
    end = end_of(record.handle, pidfds.get(record.attempt))
    return replace(record, ended=True, code=None if end is None else end.code)


def _chosen(records: Sequence[Record], beside: Collection[int]) -> list[Record]:
    """For each service the newest attempt that lives, else the newest whose end is news. One that was to replace
    another has not served yet: the other one comes first."""
    kept: dict[str, Record] = {}
    for record in sorted(records, key=lambda one: one.attempt not in beside):
        if record.leaving or record.handle is None:
            continue
        before = kept.get(record.service)
        if before is None or not record.ended or before.ended:
            kept[record.service] = record
    return list(kept.values())


def _strays(records: Sequence[Record], taken: set[int], owners: dict[int, list[Stat]]) -> Left:
    """`taken` are the attempts that go on."""
    rest = [one for attempt, members in owners.items() if attempt not in taken for one in members]
    return left_by([record for record in records if record.attempt not in taken], rest)


def _forget(paths: StackPaths, records: Sequence[Record], strays: Left) -> None:
    """Records of what lives stay until it has ended."""
    living = {one.pid for one in strays.all}
    remove_records(
        paths, [one.attempt for one in records if one.handle is None or one.handle.pid not in living]
    )


def end_strays(paths: StackPaths, found: Survey) -> None:
    """End what is not to be taken over, by the rules of `orphans.end`; what is taken over is left alone."""
    taken = {one.record.attempt for one in found.found}
    known = read_records(paths)
    records = [record for record in known if record.attempt not in taken]
    look = Look(paths, known)
    look.know(found.strays.all)

    def left() -> Left:
        return _strays(records, taken, look.owners())

    end(left, records)
    _forget(paths, records, left())
