"""Keeps a service's log from growing for ever, while the service writes on.

The room of its head, beyond a limit, is given back: the file goes on behind a hole (`cut`). Nothing is copied for that,
and what was not on the disk yet never gets there. A hole reads as zeros to whoever opens the file itself, so it is taken off
once it is calm (`settle`), where the file system can do that (ext4, xfs): that writes the rest to the disk first, and the
service's next write may wait for the moment it takes. Where not even holes can be made the log is left to grow. Decides
nothing about when; blocks, so it runs in a worker thread.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from launchpad.hosts.local import spool_reader
from launchpad.hosts.local.spool_reader import CUT_PREFIX, Mark

DEFAULT_LIMIT = 256 << 20
"""Bytes of output that are kept per service, at least."""
_KEEP_SIZE, _PUNCH_HOLE, _COLLAPSE_RANGE = 1, 2, 8


def is_due(log: Path, limit: int) -> bool:
    """Whether the log takes a quarter more room than what has to be kept. One system call."""
    try:
        return os.stat(log).st_blocks * 512 > limit + limit // 4
    except OSError:
        return False


def cut(log: Path, limit: int) -> bool:
    """Make a hole of all whole blocks before the last `limit` bytes. False: this file system cannot. Raises OSError."""
    recover(log)
    descriptor = os.open(log, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status, mark = os.fstat(descriptor), spool_reader.mark(log)
        begin = mark.hole if spool_reader.hole(descriptor) else 0
        length = (status.st_size - limit) // status.st_blksize * status.st_blksize - begin
        if length <= 0:
            return True
        now = Mark(mark.floor + length, begin + length)
        return _change(log, now, descriptor, _PUNCH_HOLE | _KEEP_SIZE, begin, length)
    finally:
        os.close(descriptor)


def settle(log: Path) -> bool:
    """Take the hole off. False: this file system cannot. Raises OSError."""
    recover(log)
    mark = spool_reader.mark(log)
    if not mark.hole:
        return True
    descriptor = os.open(log, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not spool_reader.hole(descriptor):  # somebody has emptied it by hand
            return True
        os.fdatasync(descriptor)
        return _change(log, Mark(mark.floor, 0), descriptor, _COLLAPSE_RANGE, 0, mark.hole)
    finally:
        os.close(descriptor)


def recover(log: Path) -> None:
    """Bring a change that a crash interrupted to its end."""
    folder = spool_reader.old_dir(log)
    for name in spool_reader.names_in(folder):
        if name.startswith(CUT_PREFIX):
            if spool_reader.is_done(log, name):
                _settled(folder, Mark.of(name))
            else:
                os.unlink(folder / name)


def _change(log: Path, now: Mark, descriptor: int, mode: int, begin: int, length: int) -> bool:
    """Say what is about to be so, make it so, say that it is."""
    folder = spool_reader.old_dir(log)
    folder.mkdir(mode=0o700, exist_ok=True)
    underway = folder / f"{CUT_PREFIX}{now.name}"
    os.close(os.open(underway, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    if not _fallocate(descriptor, mode, begin, length):
        os.unlink(underway)
        return False
    _settled(folder, now)
    return True


def _settled(folder: Path, now: Mark) -> None:
    os.rename(folder / f"{CUT_PREFIX}{now.name}", folder / now.name)
    for name in spool_reader.names_in(folder):
        if name != now.name:
            os.unlink(folder / name)


def _fallocate(descriptor: int, mode: int, begin: int, length: int) -> bool:
    try:
        call = ctypes.CDLL(None, use_errno=True).fallocate64
    except AttributeError:
        return False
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return bool(call(descriptor, mode, begin, length) == 0)
