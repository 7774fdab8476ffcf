"""Keeps a service's log from growing for ever, without losing a byte, while the service writes on.

The head of `NAME.log` is copied to `NAME.old/START` and then taken off the file that the service has open:
`fallocate` removes whole blocks from the front (ext4, xfs) or, where a file system lacks that, frees their
room and leaves a hole (tmpfs, btrfs). Where neither works the log is left to grow. Earlier parts beyond the
limit are deleted, oldest first. The log is written to the disk before its head goes, because that locks it: the service's next write may wait
for the moment it takes. Decides nothing about when to cut; blocks, so it runs in a worker thread.
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
_SAMPLE = 1 << 20
"""Of a head that is not kept, so much is: enough to see after a crash whether it has gone."""


def is_due(log: Path, limit: int, keep: int) -> bool:
    """Whether the log's own file has grown by its share of the limit. One or two system calls."""
    try:
        status = os.stat(log)
    except OSError:
        return False
    piece = limit // (keep + 1)
    return status.st_size > piece and status.st_blocks * 512 > piece


def cut(log: Path, limit: int, keep: int) -> bool:
    """Move all whole blocks but the last to an earlier part; what would be deleted at once because it is
    beyond the limit is not copied first. False: this file system cannot. Raises OSError when the copy
    cannot be made (a full disk); then nothing has changed."""
    recover(log)
    layout = spool_reader.SpoolReader(log).layout()
    folder = spool_reader.old_dir(log)
    folder.mkdir(mode=0o700, exist_ok=True)
    rest = limit - limit // (keep + 1)
    descriptor = os.open(log, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        begin = layout.floor - layout.base
        beyond = status.st_size - begin - limit
        last = status.st_size - rest if beyond > 0 else status.st_size - 1
        length = last // status.st_blksize * status.st_blksize - begin
        if length <= 0:
            return True
        _copy(descriptor, begin, length if beyond <= 0 else min(length, _SAMPLE), folder / "tmp")
        start = layout.floor + length if beyond > 0 else layout.floor
        marker = folder / f"{spool_reader.CUT_PREFIX}{start}.{status.st_size}.{begin}.{int(beyond > 0)}"
        os.fdatasync(descriptor)
        os.rename(folder / "tmp", marker)
        if not _take_off(descriptor, begin, length):
            os.unlink(marker)
            return False
        _settle(marker)
    finally:
        os.close(descriptor)
    _prune(folder, rest, keep)
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
                _settle(folder / name)
            else:
                os.unlink(folder / name)


def _settle(marker: Path) -> None:
    """The head has gone: what was copied of it becomes an earlier part. Of a head that was not kept an empty
    part remains, which says where the log begins."""
    start, was_dropped = marker.name.split(".")[1], marker.name.endswith(".1")
    if was_dropped:
        os.truncate(marker, 0)
    os.rename(marker, marker.with_name(start))


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
    """Delete the oldest parts beyond the limit, and those behind a gap that a dropped head has left; the
    newest always stays, it says where the log begins."""
    room, newer = limit, -1
    for index, start in enumerate(sorted((int(name) for name in os.listdir(folder)), reverse=True)):
        size = os.stat(folder / str(start)).st_size
        room -= size
        if index and (index >= keep or room < 0 or start + size != newer):
            os.unlink(folder / str(start))
        else:
            newer = start
