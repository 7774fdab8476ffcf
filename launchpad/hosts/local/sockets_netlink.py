"""Asks the kernel for listening TCP sockets directly, which it answers in microseconds.

Reading `/proc/net/tcp6` takes most of a millisecond on an idle machine (the kernel walks its whole table of
connections), too much for something that is done at every good probe. Knows the format of the question and
the answer (`sock_diag(7)`) and nothing else.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

_SOCK_DIAG = 4
_BY_FAMILY = 20
_DUMP_REQUEST = 0x301
_ERROR, _DONE = 2, 3
_LISTEN = 1 << 10
_V6ONLY = 11
_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBBI")
_ANSWER = struct.Struct("=BBBB")
_ID_BYTES = 48
_TAIL = struct.Struct("=IIIII")
_ATTRIBUTE = struct.Struct("=HH")
_TIMEOUT = struct.pack("@ll", 1, 0)
"""Seconds and microseconds. Not Python's own timeout, which would ask for leave before each call."""
_MOST_BYTES = 32 << 10
"""The kernel sends no more at once; for a larger buffer Python would ask the kernel for memory each time."""

Row = tuple[bytes, int, int, int, bool]
"""Address (4 or 16 bytes), port, inode, user, and whether it takes IPv6 alone."""


def listening(family: int, port: int | None) -> list[Row]:
    """Listening sockets of this family (socket.AF_INET or AF_INET6), on one port or all. Raises OSError
    where the kernel does not answer such questions."""
    rows: list[Row] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)
        sock.sendto(_question(family, port), (0, 0))
        while True:
            data = sock.recv(_MOST_BYTES)
            for kind, body in _messages(data):
                if kind == _DONE:
                    return rows
                if kind == _ERROR:
                    number = -int.from_bytes(body[:4], "little", signed=True) or errno.EPROTO
                    raise OSError(number, os.strerror(number))
                row = _row(body)
                if port is None or row[1] == port:
                    rows.append(row)


def _question(family: int, port: int | None) -> bytes:
    which = struct.pack("!H", port or 0).ljust(_ID_BYTES - 8, b"\0") + b"\xff" * 8
    body = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, _LISTEN) + which
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _DUMP_REQUEST, 1, 0) + body


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
        yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _row(body: bytes) -> Row:
    family, _, _, _ = _ANSWER.unpack_from(body)
    (port,) = struct.unpack_from("!H", body, _ANSWER.size)
    address = body[_ANSWER.size + 4 : _ANSWER.size + (8 if family == socket.AF_INET else 20)]
    at = _ANSWER.size + _ID_BYTES
    _, _, _, uid, inode = _TAIL.unpack_from(body, at)
    return address, port, inode, uid, _is_v6_only(body[at + _TAIL.size :])


def _is_v6_only(attributes: bytes) -> bool:
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, at)
        if kind == _V6ONLY:
            return attributes[at + _ATTRIBUTE.size] == 1
        at += max(4, (length + 3) & ~3)
    return False
