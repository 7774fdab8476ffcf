"""The socket behind NOTIFY_SOCKET: how a service says by itself that it is ready (systemd's protocol).

Decides which datagrams count: their sender, as the kernel vouches for it, must be one of the service's own
processes. A sender that has already ended cannot be looked up; it counts if it was this user's.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

_CREDENTIALS = struct.Struct("iII")
_LONGEST_PATH = 107
_MAX_BYTES = 8192
_MAX_DESCRIPTORS = 32


class Message(Struct, frozen=True):
    """One datagram: who sent it, and its assignments (`READY`, `STATUS`…)."""

    pid: int
    uid: int
    values: dict[str, str]


def open_notify(directory: Path, name: str) -> tuple[socket.socket, str]:
    """A socket for one attempt and the value for NOTIFY_SOCKET. The file is `directory/name.sock` and this
    user's alone; where that path is too long for a socket, an abstract one with a random name takes its
    place. Raises OSError. To be closed with `close_notify`."""
    path = directory / f"{name}.sock"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        if len(os.fsencode(path)) > _LONGEST_PATH:
            address = f"launchpad-{name[:40]}-{os.urandom(8).hex()}"
            sock.bind("\0" + address)
            return sock, "@" + address
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        path.chmod(0o600)
    except BaseException:
        sock.close()
        raise
    return sock, str(path)


def open_again(address: str) -> socket.socket:
    """The socket at an address that was given to a process before. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        if address.startswith("@"):
            sock.bind("\0" + address[1:])
            return sock
        Path(address).unlink(missing_ok=True)
        sock.bind(address)
        Path(address).chmod(0o600)
    except BaseException:
        sock.close()
        raise
    return sock


def close_notify(sock: socket.socket) -> None:
    """Close it and remove its file. A service that speaks afterwards is told that nobody listens."""
    try:
        address = sock.getsockname()
    except OSError:
        return
    sock.close()
    if isinstance(address, str) and address:
        Path(address).unlink(missing_ok=True)


def receive(sock: socket.socket) -> Iterator[Message]:
    """All that waits; does not block. Descriptors that come along are closed, which is also what a sender
    that waits to be heard (`BARRIER=1`) waits for."""
    space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(4 * _MAX_DESCRIPTORS)
    while True:
        try:
            data, ancillary, _, _ = sock.recvmsg(_MAX_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return
        pid, uid = 0, -1
        descriptors = array.array("i")
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                pid, uid, _ = _CREDENTIALS.unpack(payload[: _CREDENTIALS.size])
            elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
        try:
            yield Message(pid, uid, _values(data))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def counts(message: Message, pids: set[int]) -> bool:
    """Whether the service's own processes (`pids`) sent it."""
    if message.pid in pids:
        return True
    return message.uid == os.getuid() and not _alive(message.pid)


def _alive(pid: int) -> bool:
    """Running, and not a corpse that nobody has buried yet."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (OSError, IndexError):
        return False


def _values(data: bytes) -> dict[str, str]:
    lines = (line.partition("=") for line in data.decode("utf-8", "replace").splitlines())
    return {key: value for key, equals, value in lines if equals}
