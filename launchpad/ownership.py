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
    root = Path(*parts[: parts.index(FOLDER) + 1])
    try:
        uid = os.lstat(root).st_uid
    except OSError:
        return None
    return None if uid == os.getuid() else Refused([_diagnostic(root, _name(uid))])


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _diagnostic(root: Path, owner: str) -> Diagnostic:
    return Diagnostic(
        "E604",
        f"the stack belongs to user `{owner}`",
        notes=(f"{root} is for that user alone: it has what the stack printed, and where it stands",),
        consequence="nothing was changed",
        hint=f"ask as `{owner}`; a copy of the stack file in a folder of yours is a stack of its own",
    )
