"""How GPUs stay held between a supervisor that died and the next one: the keeper hands its claims over.

An abstract unix socket of the keeper's, named after user and stack; both ends look at whose process the other is. Without
it there would be a moment in which nobody holds them, and whoever waits for a GPU is told of just that moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterable

from launchpad.hosts.local.gpu_claim import CREDENTIALS

PREFIX = b"\0launchpad/keeper/"
MOST_FDS = 64
MESSAGE_BYTES = 1024
TIMEOUT_S = 2.0
"""For one answer of the other end, which has nothing else to do."""


def door(key: str) -> socket.socket | None:
    """For the keeper to listen at; `key` is the stack's. None where somebody else does."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        sock.bind(_name(key))
        sock.listen(1)
    except OSError:
        sock.close()
        return None
    return sock


def hand_over(door: socket.socket, claims: Iterable[tuple[int, list[int]]]) -> None:
    """Whoever knocks gets a copy of all, by attempt, if it is of this user. Never raises: it may have gone again."""
    with contextlib.suppress(OSError):
        other, _ = door.accept()
        with other:
            other.settimeout(TIMEOUT_S)
            if _user(other) == os.getuid():
                for attempt, fds in claims:
                    socket.send_fds(other, [json.dumps(attempt).encode()], fds[:MOST_FDS])


def take_over(key: str) -> dict[int, tuple[socket.socket, ...]] | None:
    """Attempt → the claims of its GPUs; None where no keeper listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(TIMEOUT_S)
        found: dict[int, tuple[socket.socket, ...]] = {}
        try:
            sock.connect(_name(key))
            if _user(sock) != os.getuid():
                return None
            while True:
                message, fds, _, _ = socket.recv_fds(sock, MESSAGE_BYTES, MOST_FDS)
                if not message:
                    return found
                found[int(json.loads(message))] = tuple(_private(fd) for fd in fds)
        except (OSError, ValueError):
            return found or None


def _private(fd: int) -> socket.socket:
    """No child shall inherit it."""
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd)


def _user(sock: socket.socket) -> int:
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(raw)[1])


def _name(key: str) -> bytes:
    return PREFIX + f"{os.getuid()}/{key}".encode()
