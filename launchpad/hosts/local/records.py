"""What is written down of each process that was or is about to be started, so that a later launchpad can find it.

One file for a stack, and a line for all that becomes known (a file for each process costs a file system, each time one
is made or removed, more than the start of the process itself; ADR 0038). The first line of an attempt is written before its process exists
(an intent); later ones override it: its pid, that it said that it is ready, that it was asked to leave, how it ended,
and last, once nothing of its tree lives, that it is gone. A job that is done is not gone until the stack ends, so that
nobody does its work again. Decides what is durable about a process; ends nothing (`orphans` does), and takes nothing
over (`survey` does).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from launchpad.core.model import Handle, Identity, Launch, Lease, Stop
from launchpad.hosts.local import private, process
from launchpad.paths import StackPaths

VERSION = 1
MOST_GONE = 5000
"""So many records of what is gone may be in the file until it is written anew."""
USUAL_STOP = Stop()


class Record(Struct, frozen=True):
    """`handle` is None for an intent: whether the process came to be is not known. `started_at` in seconds
    since the epoch, `log_start` the offset in the log where its output begins; `silent`: there is no log. `needs`
    are the services it was started after. `notify` is the address of its NOTIFY_SOCKET, `notified` that it said
    there that it is ready. `leaving`: it was asked to end. `code` is None where nobody can say how it ended."""

    service: str
    attempt: int
    run_id: str
    identity: Identity
    argv: tuple[str, ...] = ()
    working_dir: str = ""
    handle: Handle | None = None
    started_at: float = 0.0
    log_start: int = 0
    stop: Stop = USUAL_STOP
    boot: str = ""
    needs: tuple[str, ...] = ()
    job: bool = False
    notify: str = ""
    silent: bool = False
    notified: bool = False
    leaving: bool = False
    ended: bool = False
    code: int | None = None
    ended_at: float = 0.0


def intent(service: str, attempt: int, run_id: str, identity: Identity, launch: Launch) -> Record:
    return Record(
        service,
        attempt,
        run_id,
        identity,
        launch.argv,
        launch.working_dir,
        stop=launch.stop,
        boot=process.boot_id(),
        needs=launch.needs,
        job=launch.job,
    )


class Book:
    """The supervisor's hand on the file, which it holds open: it is the only one that writes while it lives."""

    def __init__(self, paths: StackPaths) -> None:
        self._paths, self._fd, self._gone = paths, -1, 0
        self._kept: dict[int, None] = {}
        """The attempts that are in it and not gone."""
        self._owed = b""
        """What could not be written (the disk was full)."""

    def begin(self, record: Record) -> None:
        """Raises OSError when it cannot be kept."""
        self._turn_to()
        _write(self._fd, _line(_to_json(record)))
        self._kept[record.attempt] = None

    def complete(self, record: Record) -> None:
        """Add to an intent what is known after the start."""
        self.note(record.attempt, **_life(record))

    def note(self, attempt: int, **known: Any) -> None:
        """See the function of that name. It is written as soon as it can be."""
        self._owed += _line({"attempt": attempt, **known})
        with contextlib.suppress(OSError):
            self._turn_to()
            _write(self._fd, self._owed)
            self._owed = b""

    def drop(self, attempt: int) -> None:
        self._kept.pop(attempt, None)
        self._gone += 1
        self.note(attempt, gone=True)

    def close(self) -> None:
        """The file goes with the last that was in it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            if not self._kept:
                _unlink(self._paths)

    def _turn_to(self) -> None:
        """A file that somebody has deleted is written again, all that was in it."""
        if self._fd < 0 or not os.fstat(self._fd).st_nlink:
            self._renew()
        elif self._gone >= MOST_GONE:
            with contextlib.suppress(OSError):
                self._renew()

    def _renew(self) -> None:
        """Without what is gone."""
        self._gone = 0
        before = private.read(self._paths.records) if self._fd < 0 else _whole(self._fd)
        known = _known(before or b"")
        self._paths.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        private.write(self._paths.records, b"".join(map(_line, known.values())))
        fd = os.open(self._paths.records, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._kept = fd, dict.fromkeys(known)


def note(paths: StackPaths, attempt: int, **known: Any) -> None:
    """Add to its record that it is `notified`, `leaving` or `ended` (with `code` and `ended_at`). Where there is none, or
    it cannot be written, all stays as it is."""
    _append(paths, [{"attempt": attempt, **known}])


def end(code: int | None) -> dict[str, Any]:
    """What is noted of an end now."""
    return {"ended": True, "code": code, "ended_at": time.time()}


def remove_records(paths: StackPaths, attempts: Iterable[int]) -> None:
    """To be called with the stack's lock. Those that cannot be removed (a disk that became read-only) do no harm: their
    processes are known to be gone."""
    _append(paths, [{"attempt": attempt, "gone": True} for attempt in attempts])
    if paths.records.exists() and not _known(private.read(paths.records) or b""):
        _unlink(paths)


def _append(paths: StackPaths, lines: Iterable[Mapping[str, Any]]) -> None:
    with contextlib.suppress(OSError):
        fd = os.open(paths.records, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            for line in lines:
                _write(fd, _line(line))
        finally:
            os.close(fd)


def _write(fd: int, lines: bytes) -> None:
    """Raises OSError when they are not there as a whole."""
    if os.write(fd, lines) < len(lines):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _line(known: Mapping[str, Any]) -> bytes:
    """On a line of its own, whatever became of the line before."""
    try:
        return b"\n%b\n" % msgspec.json.encode(known)
    except UnicodeEncodeError:  # a path need not be UTF-8
        return b"\n%b\n" % json.dumps(known).encode()


def _unlink(paths: StackPaths) -> None:
    with contextlib.suppress(OSError):
        os.unlink(paths.records)


def _whole(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def _known(data: bytes) -> dict[int, dict[str, Any]]:
    """Attempt → all that is said of it, of those that are not gone. A line that was cut short is left out."""
    known: dict[int, dict[str, Any]] = {}
    for line in filter(None, data.splitlines()):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            said = json.loads(line)
            attempt = int(said["attempt"])
            if "version" in said:
                known[attempt] = said
            elif "gone" in said:
                known.pop(attempt, None)
            elif attempt in known:
                known[attempt].update(said)
    return known


def read_records(paths: StackPaths) -> list[Record]:
    """All of a stack, also of what has ended, oldest attempt first. What cannot be read is left out: a crash may have
    cut it short."""
    known = _known(private.read(paths.records) or b"")
    return [one for _, raw in sorted(known.items()) if (one := _read(raw)) is not None]


def open_records(paths: StackPaths) -> list[Record]:
    """Those of processes that are not known to have ended."""
    return [record for record in read_records(paths) if not record.ended]


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file as a whole. Raises OSError."""
    private.write(path, json.dumps(content).encode() + b"\n")


def read_private(path: Path) -> dict[str, Any] | None:
    """None if it cannot be read or makes no sense."""
    try:
        content = json.loads(private.read(path) or b"")
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _to_json(record: Record) -> dict[str, Any]:
    identity = record.identity
    return {
        "version": VERSION,
        "service": record.service,
        "attempt": record.attempt,
        "run_id": record.run_id,
        "identity": {
            "digest": identity.digest,
            "nonce": identity.nonce,
            "bound": [list(pair) for pair in identity.bound],
            "leases": [_lease_json(one) for one in identity.leases],
        },
        "argv": list(record.argv),
        "working_dir": record.working_dir,
        "stop": {"signal": record.stop.signal, "grace_s": record.stop.grace_s},
        "needs": list(record.needs),
        "job": record.job,
        "notify": record.notify,
        "silent": record.silent,
        **_life(record),
    }


def _lease_json(one: Lease) -> list[str | int]:
    """A GPU has two values more."""
    gpu: list[str | int] = [one.gpu, one.memory] if one.gpu else []
    return [one.service, one.name, one.number, one.host, *gpu]


def _lease(raw: list[Any]) -> Lease:
    service, name, number, host, *gpu = raw
    known = Lease(str(service), str(name), int(number), str(host))
    return known if not gpu else replace(known, gpu=str(gpu[0]), memory=int(gpu[1]))


def _life(record: Record) -> dict[str, Any]:
    """What is known only once it runs."""
    handle = record.handle
    return {
        "pid": None if handle is None else handle.pid,
        "start": None if handle is None else handle.start,
        "boot": record.boot if handle is None else handle.boot,
        "started_at": record.started_at,
        "log_start": record.log_start,
    }


def _read(raw: dict[str, Any]) -> Record | None:
    try:
        return None if raw["version"] != VERSION else _from_json(raw)
    except (KeyError, TypeError, ValueError):
        return None


def _from_json(raw: dict[str, Any]) -> Record:
    who = raw["identity"]
    identity = Identity(
        str(who["digest"]),
        int(who["nonce"]),
        tuple((str(name), int(attempt)) for name, attempt in who["bound"]),
        tuple(map(_lease, who["leases"])),
    )
    handle = None
    if raw["pid"] is not None:
        handle = Handle(int(raw["pid"]), int(raw["start"]), str(raw["boot"]))
    return Record(
        str(raw["service"]),
        int(raw["attempt"]),
        str(raw["run_id"]),
        identity,
        tuple(str(word) for word in raw["argv"]),
        str(raw["working_dir"]),
        handle,
        float(raw["started_at"]),
        int(raw["log_start"]),
        Stop(int(raw["stop"]["signal"]), float(raw["stop"]["grace_s"])),
        str(raw["boot"] or ""),
        tuple(str(name) for name in raw.get("needs", ())),
        bool(raw.get("job")),
        str(raw.get("notify", "")),
        bool(raw.get("silent")),
        bool(raw.get("notified")),
        bool(raw.get("leaving")),
        bool(raw.get("ended")),
        None if raw.get("code") is None else int(raw["code"]),
        float(raw.get("ended_at", 0.0)),
    )
