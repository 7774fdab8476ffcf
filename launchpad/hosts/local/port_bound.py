"""Sockets that are bound to a TCP port and do not listen: no table in /proc has them.

Asks the kernel by netlink (Linux 6.8 and later tell it); where it cannot tell, says so.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from functools import cache

from msgspec import Struct

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
REQUEST_DUMP = 0x301
DONE, ERROR = 3, 2
BOUND_INACTIVE = 13
_HEADER = struct.Struct("=IHHII")
_QUERY = struct.Struct("=BBBxI")
_ID = struct.Struct("!HH16s16s")
_ID_BYTES = 48
_TAIL = struct.Struct("=IIIII")
TIMEOUT_S = 1.0


class Bound(Struct, frozen=True):
    address: str
    port: int
    inode: int
    uid: int


def bound(port: int) -> list[Bound] | None:
    """Bound and not listening, on any address, of any user; None where the kernel cannot tell."""
    return _ask(port) if _can_tell() else None


@cache
def _can_tell() -> bool:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        # A number that the kernel chose is asked for like one that was named.
        return bool(_ask(probe.getsockname()[1]))


def _ask(port: int) -> list[Bound]:
    try:
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG
        ) as link:
            link.settimeout(TIMEOUT_S)
            return [one for family in (socket.AF_INET, socket.AF_INET6) for one in _dump(link, family, port)]
    except (OSError, struct.error):
        return []


def _dump(link: socket.socket, family: int, port: int) -> Iterator[Bound]:
    query = _QUERY.pack(family, socket.IPPROTO_TCP, 0, 1 << BOUND_INACTIVE)
    query += struct.pack("!H", port).ljust(_ID_BYTES, b"\0")
    length = _HEADER.size + len(query)
    link.send(_HEADER.pack(length, SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, 1, 0) + query)
    while True:
        raw = link.recv(1 << 16)
        while raw:
            size, kind, *_ = _HEADER.unpack_from(raw)
            if kind in (DONE, ERROR):
                return
            one = _parse(raw[_HEADER.size : size])
            if one.port == port:
                yield one
            raw = raw[(size + 3) & ~3 :]


def _parse(body: bytes) -> Bound:
    family = body[0]
    number, _, source, _ = _ID.unpack_from(body, 4)
    *_, uid, inode = _TAIL.unpack_from(body, 4 + _ID_BYTES)
    if family == socket.AF_INET:
        return Bound(socket.inet_ntop(family, source[:4]), number, inode, uid)
    return Bound(socket.inet_ntop(socket.AF_INET6, source), number, inode, uid)
