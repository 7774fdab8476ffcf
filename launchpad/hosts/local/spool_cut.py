"""Keeps a service's log from growing for ever, without losing a byte, while the service writes on.

The head of `NAME.log` is copied to `NAME.old/START` and then taken off the file that the service has open:
`fallocate` removes whole blocks from the front (ext4, xfs) or, where a file system lacks that, frees their
room and leaves a hole (tmpfs, btrfs). Where neither works the log is left to grow. Earlier parts beyond the
limit are deleted, oldest first. Decides nothing about when; blocks, so it runs in a worker thread.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from launchpad.hosts.local import spool_reader

DEFAULT_LIMIT = 256 << 20
"""Bytes of output that are kept per service."""
DEFAULT_KEEP = 4
_KEEP_SIZE, _PUNCH_HOLE, _COLLAPSE_RANGE = 1, 2, 8
_COPY_BYTES = 8 << 20


def is_due(log: Path, limit: int, keep: int) -> bool:
    """Whether the log's own file has grown by its share of the limit. One or two system calls."""
    try:
        status = os.stat(log)
    except OSError:
        return False
    piece = limit // (keep + 1)
    return status.st_size > piece and status.st_blocks * 512 > piece


def cut(log: Path, limit: int, keep: int) -> bool:
    """Move all whole blocks but the last to an earlier part. False: this file system cannot.
    Raises OSError when the copy cannot be made (a full disk); then nothing has changed."""
    folder = spool_reader.old_dir(log)
    recover(log)
    layout = spool_reader.SpoolReader(log).layout()
    descriptor = os.open(log, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        begin = layout.floor - layout.base
        length = (status.st_size - 1) // status.st_blksize * status.st_blksize - begin
        if length <= 0:
            return True
        folder.mkdir(mode=0o700, exist_ok=True)
        _copy(descriptor, begin, length, folder / "tmp")
        marker = folder / f"{spool_reader.CUT_PREFIX}{layout.floor}.{status.st_size}.{begin}"
        os.rename(folder / "tmp", marker)
        if not _take_off(descriptor, begin, length):
            os.unlink(marker)
            return False
        os.rename(marker, folder / str(layout.floor))
    finally:
        os.close(descriptor)
    _prune(folder, limit - limit // (keep + 1), keep)
    return True


def recover(log: Path) -> None:
    """Bring a cut that a crash interrupted to its end."""
    folder = spool_reader.old_dir(log)
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if name == "tmp":
            os.unlink(folder / name)
        elif name.startswith(spool_reader.CUT_PREFIX):
            if spool_reader.cut_is_done(log, folder / name):
                os.rename(folder / name, folder / name.split(".")[1])
            else:
                os.unlink(folder / name)


def _copy(source: int, begin: int, length: int, target: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    copy = os.open(target, flags, 0o600)
    try:
        while length > 0:
            done = os.sendfile(copy, source, begin, min(length, _COPY_BYTES))
            if not done:
                raise OSError(f"{target}: the log became shorter while its head was copied")
            begin += done
            length -= done
    except OSError:
        os.unlink(target)
        raise
    finally:
        os.close(copy)


def _take_off(descriptor: int, begin: int, length: int) -> bool:
    """Remove `length` bytes at `begin` from the file, or else free them. A file whose head is a hole
    already goes on in that way, so that its offsets stay as they are."""
    if begin == 0 and _fallocate(descriptor, _COLLAPSE_RANGE, 0, length):
        return True
    return _fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, begin, length)


def _fallocate(descriptor: int, mode: int, begin: int, length: int) -> bool:
    try:
        call = ctypes.CDLL(None, use_errno=True).fallocate64
    except AttributeError:
        return False
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return bool(call(descriptor, mode, begin, length) == 0)


def _prune(folder: Path, limit: int, keep: int) -> None:
    """Delete the oldest parts beyond the limit; the newest always stays, it says where the log begins."""
    parts = sorted((int(name) for name in os.listdir(folder) if name.isdecimal()), reverse=True)
    room = limit
    for index, start in enumerate(parts):
        room -= os.stat(folder / str(start)).st_size
        if index and (index >= keep or room < 0):
            os.unlink(folder / str(start))
