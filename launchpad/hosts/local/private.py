"""Files of the state folder: replaced as a whole, for this user's eyes only, never through a link.

Knows nothing of what is in them.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from launchpad.ownership import give_to_owner


def write(path: Path, data: bytes) -> None:
    """The old content or the new one, never a part. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        give_to_owner(fd, path.parent)
        file.write(data)
    os.replace(draft, path)


def read(path: Path) -> bytes | None:
    """None if it is not there, is a link, belongs to somebody else or cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    with open(fd, "rb") as file:
        if os.fstat(fd).st_uid != os.getuid():
            return None
        try:
            return file.read()
        except OSError:
            return None
