"""What this user's launchpads tell each other: which stack holds which port, since when.

One file per stack in the user's runtime folder. It explains and is never believed about what is free: the
kernel decides that. A file whose supervisor is dead is no news.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from launchpad.core.model import Handle, Lease
from launchpad.hosts.local import process
from launchpad.hosts.local.records import open_records, read_private, write_private
from launchpad.paths import StackPaths, runtime_dir, stack_paths


class Held(Struct, frozen=True):
    """A port that a stack holds; `since` in seconds since the epoch."""

    service: str
    name: str
    number: int
    host: str
    since: float


class HeldGpu(Struct, frozen=True):
    """A GPU that a stack holds, by its number on the machine and as CUDA knows it."""

    service: str
    number: int
    gpu: str
    since: float


class Registration(Struct, frozen=True):
    """One supervisor at work. `file` is its stack file."""

    stack: str
    file: str
    supervisor: Handle
    run_id: str
    ports: tuple[Held, ...] = ()
    gpus: tuple[HeldGpu, ...] = ()


def private_runtime_dir() -> Path:
    """The user's runtime folder, made if need be. Raises OSError if somebody else could write there."""
    folder = runtime_dir()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = os.lstat(folder)
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid():
        raise PermissionError(1, "the folder belongs to another user", str(folder))
    if seen.st_mode & 0o077:
        os.chmod(folder, 0o700)
    return folder


def register(paths: StackPaths, stack: str, run_id: str, leases: Iterable[tuple[Lease, float]]) -> None:
    """Write or renew this supervisor's file; `leases` with the time since when. Raises OSError."""
    private_runtime_dir()
    held = list(leases)
    me = process.handle_of(os.getpid())
    assert me is not None
    content = {
        "stack": stack,
        "file": str(paths.file),
        "pid": me.pid,
        "start": me.start,
        "boot": me.boot,
        "run_id": run_id,
        "ports": [
            {"service": one.service, "name": one.name, "number": one.number, "host": one.host, "since": since}
            for one, since in held
            if not one.gpu
        ],
        "gpus": [
            {"service": one.service, "number": one.number, "gpu": one.gpu, "since": since}
            for one, since in held
            if one.gpu
        ],
    }
    write_private(paths.registration, content)


def unregister(paths: StackPaths) -> None:
    """Remove this supervisor's file, unless another supervisor of the same stack has written it since."""
    raw = read_private(paths.registration)
    if raw is not None and raw.get("pid") == os.getpid():
        with contextlib.suppress(OSError):
            os.unlink(paths.registration)


def registrations(*, dead: bool = False) -> list[Registration]:
    """Of every live supervisor of this user, this one too; with `dead` also of those whose processes live on. The file of a dead one is removed, unless there
    are records of processes that may have outlived it, or such processes: by that file they are found."""
    found = []
    folder = runtime_dir()
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    for name in names:
        if not name.endswith(".json") or name.startswith("."):
            continue
        registration = registration_in(folder / name)
        if registration is None:
            continue
        if process.alive(registration.supervisor):
            found.append(registration)
        elif not left_alone(registration):
            _remove_dead(folder / name, registration)
        elif dead:
            found.append(registration)
    return found


def left_alone(dead: Registration) -> bool:
    """Whether there may be processes of a supervisor that is gone."""
    return bool(open_records(stack_paths(dead.file)) or process.find_by_run(dead.run_id))


def registration_in(path: Path) -> Registration | None:
    """Whether or not its supervisor lives."""
    raw = read_private(path)
    try:
        return None if raw is None else _from_json(raw)
    except (KeyError, TypeError, ValueError):
        return None


def _remove_dead(path: Path, dead: Registration) -> None:
    if registration_in(path) == dead:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _from_json(raw: dict[str, Any]) -> Registration:
    return Registration(
        str(raw["stack"]),
        str(raw["file"]),
        Handle(int(raw["pid"]), int(raw["start"]), str(raw["boot"])),
        str(raw["run_id"]),
        tuple(
            Held(
                str(one["service"]),
                str(one["name"]),
                int(one["number"]),
                str(one["host"]),
                float(one["since"]),
            )
            for one in raw["ports"]
        ),
        tuple(
            HeldGpu(str(one["service"]), int(one["number"]), str(one["gpu"]), float(one["since"]))
            for one in raw.get("gpus", ())
        ),
    )
