"""What a supervisor leaves behind for the next one: the lock, the epoch, the ports it had.

While it lives, also what is wanted and what it counts, should it die. Phases are never stored: reality is looked at
again.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from launchpad.core.model import Lease
from launchpad.errors import Diagnostic, Refused
from launchpad.hosts.local import private, records
from launchpad.hosts.local.registry import registration_in
from launchpad.ownership import of_another_user
from launchpad.paths import StackPaths

VERSION = 1


class Stored(Struct, frozen=True):
    """`run_id` marks every process of this stack in its environment, for as long as the state lives. `memory` is
    there unless the last supervisor ended in order."""

    epoch: int
    run_id: str
    ports: tuple[Lease, ...] = ()
    memory: Memory | None = None


class Counted(Struct, frozen=True):
    """How often a service was started again, and its latest deaths, in seconds since the epoch, as what `digest` says
    ("": not known)."""

    restarts: int
    deaths: tuple[float, ...] = ()
    digest: str = ""


class Asked(Struct, frozen=True):
    """With what the stack file is read, as the command line gave it; paths are absolute."""

    profiles: tuple[str, ...] = ()
    set_vars: tuple[tuple[str, str], ...] = ()
    env_files: tuple[str, ...] = ()
    watch: bool = True


class Memory(Struct, frozen=True):
    """What is wanted up, what somebody stopped by name, the restarts so far; the attempts that are to replace
    another one and do not serve yet; and what the stack was started with."""

    up: tuple[str, ...] = ()
    held_down: tuple[str, ...] = ()
    counted: dict[str, Counted] = field(default_factory=dict)
    beside: tuple[int, ...] = ()
    asked: Asked = Asked()
    scaled: tuple[tuple[str, int, int], ...] = ()
    """Of which service how many copies are wanted, instead of how many that the file said."""
    watched: dict[str, str] = field(default_factory=dict)
    """How the files stand that a service watches."""


def take_lock(paths: StackPaths) -> int | None:
    """A descriptor that holds the stack for this process, or None when another supervisor has it. The
    kernel lets go when the process ends, however it ends. Refused when the folder cannot be written."""
    made_ready(paths)
    try:
        fd = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unwritable(paths, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def made_ready(paths: StackPaths) -> None:
    """`prepare`; Refused where that cannot be."""
    try:
        prepare(paths)
    except OSError as error:
        raise _unwritable(paths, error) from error
    refuse_others(paths)


def refuse_others(paths: StackPaths) -> None:
    """Only root gets so far with another user's stack. What is written down of its processes is not believed: it could name any
    process of the machine. So nothing is started beside them, and nothing is ended by it. Raises Refused."""
    theirs = of_another_user(paths.state_dir)
    if theirs is not None and paths.records.exists():
        raise theirs


def prepare(paths: StackPaths) -> None:
    """Make the state folder (for this user only) and keep it out of version control."""
    root = paths.state_dir.parent
    root.mkdir(mode=0o700, exist_ok=True)
    for folder in (paths.state_dir, paths.logs_dir):
        folder.mkdir(mode=0o700, exist_ok=True)
        _only_ours(folder)
    ignore = root / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


def _only_ours(folder: Path) -> None:
    """Nothing here is ever a link that launchpad made: one could lead what is written anywhere. Nor is it another user's, unless we
    are root: what cannot be read or written is better told of before anything starts."""
    for path in (folder, *folder.iterdir()):
        try:
            seen = path.lstat()
        except FileNotFoundError:
            continue  # the draft of a file, written by the supervisor that runs
        if stat.S_ISLNK(seen.st_mode):
            raise OSError(errno.ELOOP, f"{path.name} is a symbolic link, and none is followed here")
        if seen.st_uid != os.getuid() != 0:
            raise PermissionError(errno.EPERM, "it belongs to another user", str(path))


def _unwritable(paths: StackPaths, error: OSError) -> Refused:
    where = error.filename or paths.state_dir
    theirs = of_another_user(where) if isinstance(error, PermissionError) else None
    return theirs or Refused(
        [
            Diagnostic(
                "E608",
                "the state folder cannot be written",
                notes=(f"{paths.state_dir}: {error.strerror or error}",),
                consequence="nothing was started",
                hint="launchpad keeps logs and state in `.launchpad/` beside the stack file",
            )
        ]
    )


def begin(paths: StackPaths) -> tuple[Stored, str]:
    """Read what the last supervisor left, raise the epoch, and write that down before anything starts. With what is
    to be told of it, or ""."""
    trouble: list[str] = []
    old = load(paths, trouble.append)
    new = replace(old, epoch=old.epoch + 1)
    save(paths.state, new)
    return new, "".join(trouble)


def forget(paths: StackPaths) -> None:
    """The stack has ended: what was wanted and counted is of no concern any more."""
    if paths.state.exists() and (stored := load(paths)).memory is not None:
        save(paths.state, replace(stored, memory=None))


def load(paths: StackPaths, report: Callable[[str], None] = lambda text: None) -> Stored:
    """The stored state; a fresh one when there is none. One that is broken, or of a version that is not known, is set
    aside, not trusted, which is told to `report`. What records and registration say holds in any case: attempts
    never repeat, and processes are found by their run."""
    fresh = _from_records(paths)
    try:
        stored = _from_json(json.loads(paths.state.read_text()))
        return replace(stored, epoch=max(stored.epoch, fresh.epoch))
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError, AttributeError):
        aside = paths.state.with_name(f"{paths.state.name}.broken-{time.strftime('%Y%m%d-%H%M%S')}")
        paths.state.replace(aside)
        report(f"the stack's state made no sense and was set aside as {aside}")
    return fresh


def remembered(paths: StackPaths) -> Memory:
    """What the supervisor that runs, or the last one, has written down; nothing where that makes no sense."""
    return last_memory(paths) or Memory()


def last_memory(paths: StackPaths) -> Memory | None:
    """What a supervisor that died wanted to be known. None where the last one ended in order, or it makes no sense."""
    try:
        return _from_json(json.loads(paths.state.read_text())).memory
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _from_records(paths: StackPaths) -> Stored:
    known = records.read_records(paths)
    epoch = max((record.attempt >> 32 for record in known), default=0)
    ports = {(p.service, p.name): p for record in known for p in record.identity.leases}
    run_id = known[-1].run_id if known else ""
    registration = registration_in(paths.registration)
    if not run_id and registration is not None and registration.file == str(paths.file):
        run_id = registration.run_id
    return Stored(epoch, run_id or os.urandom(8).hex(), tuple(ports.values()))


def _from_json(data: dict[str, Any]) -> Stored:
    if data["version"] != VERSION:
        raise ValueError("another version")
    ports = tuple(Lease(**{**lease, "number": int(lease["number"])}) for lease in data["ports"])
    raw = data.get("memory")
    memory = None if raw is None else _memory(raw)
    return Stored(int(data["epoch"]), str(data["run_id"]), ports, memory)


def _memory(raw: dict[str, Any]) -> Memory:
    counted = {
        str(name): Counted(
            int(one["restarts"]), tuple(float(at) for at in one["deaths"]), str(one.get("digest", ""))
        )
        for name, one in raw["counted"].items()
    }
    beside = tuple(map(int, raw.get("beside", ())))
    asked = raw.get("asked", {})
    return Memory(
        tuple(map(str, raw["up"])),
        tuple(map(str, raw["held_down"])),
        counted,
        beside,
        Asked(
            tuple(map(str, asked.get("profiles", ()))),
            tuple((str(name), str(value)) for name, value in asked.get("set_vars", ())),
            tuple(map(str, asked.get("env_files", ()))),
            asked.get("watch", True) is True,
        ),
        tuple((str(name), int(n), int(was)) for name, n, was in raw.get("scaled", ())),
        {str(name): str(mark) for name, mark in raw.get("watched", {}).items()},
    )


def save(path: Path, stored: Stored) -> None:
    leases = [
        {"service": p.service, "name": p.name, "number": p.number, "host": p.host}
        | ({"gpu": p.gpu, "memory": p.memory} if p.gpu else {})
        for p in stored.ports
    ]
    memory = None if stored.memory is None else msgspec.to_builtins(stored.memory)
    data = {"version": VERSION, "epoch": stored.epoch, "run_id": stored.run_id, "ports": leases}
    private.write(path, json.dumps({**data, "memory": memory}).encode())
