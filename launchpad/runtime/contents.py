"""What stands in files at one moment, and whether somebody is in the middle of writing one.

Decides when a file counts as being written. Refuses to know what is in it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path

from launchpad.stack.files import content

F_SETSIG = 10
SYMLINKS = 40
"""How many symbolic links one path may lead through, as for the kernel."""

Contents = Mapping[Path, bytes | None]
"""None: the file is not there, or cannot be read."""
Mark = tuple[int, ...] | None


def contents(files: Iterable[Path]) -> Contents:
    return {file: _bytes(file) for file in files}


def _bytes(file: Path) -> bytes | None:
    try:
        return content(file)
    except OSError:
        return None


def mark(file: Path) -> Mark:
    """Differs when the file was written to, replaced, or led elsewhere; None while it is not there."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def is_being_written(file: Path) -> bool:
    """Whether a process has the file open for writing. The kernel tells: it grants a read lease only while
    nobody has. False where it cannot tell (another user's file, some network file systems)."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # whoever opens it for writing in the moments until the lease is given back makes the kernel send a
        # signal: SIGURG, which nobody minds, and not SIGIO, which kills
        fcntl.fcntl(fd, F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(fd)
    return False


def trail(file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Folders in which something happens when the file is written, replaced, appears, is led elsewhere by a
    symbolic link on the way to it, or its folder is replaced; and the paths in them that matter."""
    folders: dict[str, None] = {}
    entries: dict[str, None] = {}
    path = os.path.abspath(file)
    for _ in range(SYMLINKS):
        link = _first_link(path)
        if link is None:
            break
        folders[os.path.dirname(link)] = entries[link] = None
        rest = path[len(link) :].lstrip("/")
        path = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link), rest))
    entries[path] = None
    above = _nearest(os.path.dirname(path), entries)
    folders[above] = entries[above] = None
    folders[os.path.dirname(above)] = None
    return tuple(folders), tuple(entries)


def _first_link(path: str) -> str | None:
    at = ""
    for part in path.split("/")[1:]:
        at = f"{at}/{part}"
        if os.path.islink(at):
            return at
    return None


def _nearest(folder: str, entries: dict[str, None]) -> str:
    """The folder itself, or the nearest above it that is there; what is missing matters, too."""
    while not os.path.isdir(folder) and folder != "/":
        entries[folder] = None
        folder = os.path.dirname(folder)
    return folder
