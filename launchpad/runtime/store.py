"""What a supervisor leaves behind for the next one: the lock, the epoch, the ports it had.

Phases are never stored: reality is looked at again.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launchpad.core.model import Lease
from launchpad.errors import Diagnostic, Refused
from launchpad.paths import StackPaths

VERSION = 1


@dataclass(frozen=True, slots=True)
class Stored:
    """`run_id` marks every process of this stack in its environment, for as long as the state lives."""

    epoch: int
    run_id: str
    ports: tuple[Lease, ...] = ()


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


def prepare(paths: StackPaths) -> None:
    """Make the state folder (for this user only) and keep it out of version control."""
    root = paths.state_dir.parent
    root.mkdir(mode=0o700, exist_ok=True)
    for folder in (paths.state_dir, paths.logs_dir, paths.records_dir):
        folder.mkdir(mode=0o700, exist_ok=True)
        _no_links_in(folder)
    ignore = root / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


def _no_links_in(folder: Path) -> None:
    """Nothing here is ever a link that launchpad made: one could lead what is written anywhere."""
    for path in (folder, *folder.iterdir()):
        if path.is_symlink():
            raise OSError(errno.ELOOP, f"{path.name} is a symbolic link, and none is followed here")


def _unwritable(paths: StackPaths, error: OSError) -> Refused:
    return Refused(
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


def begin(paths: StackPaths) -> Stored:
    """Read what the last supervisor left, raise the epoch, and write that down before anything starts."""
    old = load(paths.state)
    new = replace(old, epoch=old.epoch + 1)
    save(paths.state, new)
    return new


def load(path: Path) -> Stored:
    """The stored state; a fresh one when there is none. A broken file is set aside, not trusted."""
    try:
        data = json.loads(path.read_text())
        ports = tuple(Lease(**{**lease, "number": int(lease["number"])}) for lease in data["ports"])
        return Stored(int(data["epoch"]), str(data["run_id"]), ports)
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError):
        path.replace(path.with_suffix(".broken"))
    return Stored(0, secrets.token_hex(8))


def save(path: Path, stored: Stored) -> None:
    leases = [
        {"service": p.service, "name": p.name, "number": p.number, "host": p.host} for p in stored.ports
    ]
    data = {"version": VERSION, "epoch": stored.epoch, "run_id": stored.run_id, "ports": leases}
    write_atomically(path, data)


def write_atomically(path: Path, data: dict[str, Any]) -> None:
    """The old content or the new one, never a part; readable for this user only."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(data, file)
    os.replace(part, path)
