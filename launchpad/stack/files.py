"""Reads a file that somebody names: all of it, never for ever.

Decides what counts as a file. A pipe or a device is none: what reads one may wait for ever, or never come to an end, and
a file is read again at each save.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

NOT_REGULAR = "it is no regular file"
MAX_BYTES = 1_000_000
"""No file that a stack is made of is larger."""


def content(path: Path) -> bytes:
    """One byte more than `MAX_BYTES` at most; of /dev/null none. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait for a writer
    try:
        found = os.fstat(fd)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if os.path.samestat(found, os.stat(os.devnull)):
            return b""
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, NOT_REGULAR)
        with open(fd, "rb", closefd=False) as stream:
            return stream.read(MAX_BYTES + 1)
    finally:
        os.close(fd)
