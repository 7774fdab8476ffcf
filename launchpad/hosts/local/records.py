"""One file per process that was or is about to be started, so that a later launchpad can find it.

Written before the process exists (an intent); what becomes known later is a line more, which overrides what is
above it (a file that is replaced is written back at once by some file systems, and is slow to remove): its pid,
that it said that it is ready, that it was asked to leave, how it ended. Removed when nothing of its tree lives;
that of a job that is done stays until the stack ends, so that nobody does its work again. Decides what is durable
about a process; ends nothing (`orphans` does), and takes nothing over (`survey` does).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from launchpad.core.model import Handle, Identity, Launch, Lease, Stop
from launchpad.hosts.local import private, process
from launchpad.paths import StackPaths

VERSION = 1
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


def write_record(paths: StackPaths, record: Record) -> None:
    """Raises OSError when it cannot be kept."""
    paths.records_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(_path(paths, record.service, record.attempt), _to_json(record))


def complete_record(paths: StackPaths, record: Record) -> None:
    """Add to an intent what is known after the start. Raises OSError when it cannot be kept."""
    _append(paths, record.service, record.attempt, _life(record))


def note(paths: StackPaths, service: str, attempt: int, **known: bool | int | float | str | None) -> None:
    """Add to its record that it is `notified`, `leaving` or `ended` (with `code` and `ended_at`). A record that is
    gone, or cannot be written, stays as it is."""
    with contextlib.suppress(OSError):
        _append(paths, service, attempt, known)


def note_end(paths: StackPaths, service: str, attempt: int, code: int | None) -> None:
    note(paths, service, attempt, ended=True, code=code, ended_at=time.time())


def _append(paths: StackPaths, service: str, attempt: int, known: Mapping[str, Any]) -> None:
    """On a line of its own, whatever became of the line before."""
    path = _path(paths, service, attempt)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.write(fd, f"\n{json.dumps(known)}\n".encode())
    finally:
        os.close(fd)


def remove_record(paths: StackPaths, service: str, attempt: int) -> None:
    """One that cannot be removed (a disk that became read-only) does no harm: its process is known to be gone."""
    with contextlib.suppress(OSError):
        os.unlink(_path(paths, service, attempt))


def read_records(paths: StackPaths) -> list[Record]:
    """All of a stack, also of what has ended, oldest attempt first. What cannot be read is left out: a crash may have
    cut it short."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(paths.records_dir)):
            if name.endswith(".json") and (record := _read(paths.records_dir / name)) is not None:
                found.append(record)
    return sorted(found, key=lambda record: (record.attempt, record.service))


def open_records(paths: StackPaths) -> list[Record]:
    """Those of processes that are not known to have ended."""
    return [record for record in read_records(paths) if not record.ended]


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file as a whole. Raises OSError."""
    private.write(path, json.dumps(content).encode() + b"\n")


def read_private(path: Path) -> dict[str, Any] | None:
    """The objects in it, line by line, as one. None if it cannot be read or makes no sense; a line that was cut short
    is left out."""
    content: dict[str, Any] = {}
    for line in (private.read(path) or b"").splitlines():
        with contextlib.suppress(ValueError, TypeError):
            content.update(json.loads(line))
    return content or None


def _path(paths: StackPaths, service: str, attempt: int) -> Path:
    return paths.records_dir / f"{service}.{attempt}.json"


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


def _read(path: Path) -> Record | None:
    raw = read_private(path)
    try:
        return None if raw is None or raw["version"] != VERSION else _from_json(raw)
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
