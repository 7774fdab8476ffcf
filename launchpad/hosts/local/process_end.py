"""How a process ended that is nobody's child here: its exit code without waiting for it.

Only a parent may wait. But a process that has ended and was not waited for yet says its code in /proc, and of one
that was, the kernel tells it to whoever holds a descriptor of it (Linux 6.15 and newer). Where neither can
be had, the code is not known; it is not guessed.
"""

from __future__ import annotations

import fcntl
import os
import struct

from msgspec import Struct

from launchpad.core.model import Handle
from launchpad.hosts.local import process

_SIZE = 64
"""Of the first version of `struct pidfd_info`: mask, cgroup, pid, tgid, ppid, eight ids, exit code."""
_PIDFD_GET_INFO = 3 << 30 | _SIZE << 16 | 0xFF << 8 | 11
_INFO_EXIT = 1 << 3
_CODE_AT = 60
_EXIT_CODE_FIELD = 49
"""In /proc/PID/stat, counted from the state."""


class End(Struct, frozen=True):
    """`code` is the exit code, or minus the signal number; None: not known."""

    code: int | None

    @property
    def text(self) -> str:
        if self.code is None:
            return "it is not known how"
        from launchpad.core.moves import signal_name  # and with it most of the core

        return f"killed by {signal_name(-self.code)}" if self.code < 0 else f"exit {self.code}"


def open_pidfd(handle: Handle) -> int | None:
    """A descriptor of exactly this process, also of one that is a zombie; None if it is gone."""
    try:
        fd = os.pidfd_open(handle.pid)
    except (OSError, AttributeError):
        return None
    one = process.stat(handle.pid)
    if one is None or one.start != handle.start or handle.boot != process.boot_id():
        os.close(fd)
        return None
    return fd


def end_of(handle: Handle, pidfd: int | None) -> End | None:
    """None while it lives, and while it cannot be said yet: it has ended, and nobody has waited for it."""
    one = process.stat(handle.pid)
    if one is not None and one.start == handle.start and handle.boot == process.boot_id():
        return None if one.lives else _of_zombie(handle)
    return End(None if pidfd is None else _of_pidfd(pidfd))


def _of_zombie(handle: Handle) -> End | None:
    try:
        with open(f"/proc/{handle.pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        status = int(fields[_EXIT_CODE_FIELD])
    except (OSError, ValueError, IndexError):
        return None
    if fields[0] not in (b"Z", b"X") or (not status and not _may_look(handle.pid)):
        return None
    return End(os.waitstatus_to_exitcode(status))


def _may_look(pid: int) -> bool:
    """The kernel says 0 to those whom the code does not concern (a process of another user)."""
    try:
        os.readlink(f"/proc/{pid}/exe")
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def _of_pidfd(pidfd: int) -> int | None:
    """Of a process that somebody has waited for."""
    info = bytearray(_SIZE)
    struct.pack_into("Q", info, 0, _INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:
        return None
    (mask,) = struct.unpack_from("Q", info, 0)
    (status,) = struct.unpack_from("i", info, _CODE_AT)
    return os.waitstatus_to_exitcode(status) if mask & _INFO_EXIT else None
