"""One GPU that is held: a socket by whose name the kernel keeps every other launchpad away.

An abstract unix socket, named after the GPU, and listening. Only one can be bound, by whatever user; it goes with the last
process that has it, and leaves nothing behind. Who connects learns who made it, and is told by the kernel when it goes:
nobody ever accepts. Decides nothing about who may have which.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct

from msgspec import Struct

PREFIX = b"\0launchpad/gpu/"
TURN = "turn"
"""Not a GPU: held by whoever is about to take some."""
WATCHERS = 1000
"""How many may wait for one GPU and be told; the kernel has a limit of its own (net.core.somaxconn)."""
CREDENTIALS = struct.Struct("iii")


class Holder(Struct, frozen=True):
    """Who took it; `pid` may be gone by now, where the claim was handed on."""

    pid: int
    uid: int


def claim(name: str) -> socket.socket | None:
    """Hold it from now on; None where somebody has it. Raises OSError where that cannot be known."""
    sock = _socket()
    try:
        sock.bind(PREFIX + name.encode())
        sock.listen(WATCHERS)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return sock


def name_of(sock: socket.socket) -> str:
    """The GPU that a claim is for; "" where it is none."""
    path = sock.getsockname()
    found = path if isinstance(path, bytes) else b""
    return found.removeprefix(PREFIX).decode(errors="replace") if found.startswith(PREFIX) else ""


def watch(name: str) -> socket.socket | None:
    """Readable once whoever has it lets go; None where nobody has it. Raises BlockingIOError where too many watch."""
    sock = _socket()
    sock.setblocking(False)
    try:
        sock.connect(PREFIX + name.encode())
    except ConnectionRefusedError:
        sock.close()
        return None
    except OSError:
        sock.close()
        raise
    return sock


def holder(name: str) -> Holder | None:
    """None where nobody has it, or that cannot be told."""
    with contextlib.suppress(OSError):
        sock = watch(name)
        if sock is not None:
            with sock:
                raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
            pid, uid, _ = CREDENTIALS.unpack(raw)
            return Holder(pid, uid)
    return None


def _socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
