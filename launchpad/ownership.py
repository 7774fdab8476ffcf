"""Whose state folder it is: what a stack printed, and where it stands, is for the user alone who started it.

Decides who that is and what is said to others. Refuses to know what they wanted.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from launchpad.errors import Diagnostic, Refused

FOLDER = ".launchpad"


def of_another_user(path: str | os.PathLike[str] | None) -> Refused | None:
    """What is to be said of a path within the state of another user's stack; None for any other one."""
    if path is None or not isinstance(path, str | os.PathLike):
        return None
    parts = Path(path).parts
    if FOLDER not in parts:
        return None
    depth = parts.index(FOLDER) + 1
    root = Path(*parts[:depth])
    for end in range(depth, len(parts) + 1):
        part = Path(*parts[:end])
        owner = _owner(part)
        if owner is not None and owner != os.getuid():
            found = _whole(root, _name(owner)) if part == root else _some(root, part, _name(owner))
            return Refused([found])
    return None


def _owner(path: Path) -> int | None:
    try:
        return os.lstat(path).st_uid
    except OSError:
        return None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _whole(root: Path, owner: str) -> Diagnostic:
    return Diagnostic(
        "E604",
        f"the stack belongs to user `{owner}`",
        notes=(f"{root} is for that user alone: it has what the stack printed, and where it stands",),
        consequence="nothing was changed",
        hint=f"ask as `{owner}`; a copy of the stack file in a folder of yours is a stack of its own",
    )


def _some(root: Path, part: Path, owner: str) -> Diagnostic:
    return Diagnostic(
        "E604",
        f"a part of the stack's state belongs to user `{owner}`",
        notes=(f"{part}: it was written when launchpad was run as `{owner}`",),
        consequence="nothing was changed",
        hint=f"take it back, once nothing of it runs: `sudo chown -R {_name(os.getuid())} {root}`",
    )


def give_to_owner(descriptor: int, folder: Path) -> None:
    """What root writes into the state of another user (`sudo launchpad down`) stays that user's."""
    if os.getuid() == 0:
        owner = os.stat(folder)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
