"""One port that is held: the sockets by which the kernel keeps everybody else away, and their doors.

A hold is bound without any flag, which fails if anybody has the port, and does not listen, so a connection
is refused. While its door is open (SO_REUSEADDR set after the bind) a child that sets that flag, as nearly
every server does, can bind and listen beside it. Decides nothing about when.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
from collections.abc import Container, Iterable

from launchpad.core.model import Handover, Lease
from launchpad.hosts.local.port_bound import bound
from launchpad.hosts.local.sockets import Listener, listeners

CLOSING = ("04", "05", "06", "09", "0B")
"""/proc/net/tcp: FIN_WAIT1, FIN_WAIT2, TIME_WAIT, LAST_ACK, CLOSING: the remains of connections."""


class Taken(Exception):
    """Somebody has the number, or it cannot be had: `why` is an errno."""

    def __init__(self, why: int) -> None:
        super().__init__(os.strerror(why))
        self.why = why


class Hold:
    """`primary` is bound to the lease's address, `other` to the other loopback, where that could be had."""

    def __init__(self, lease: Lease, handover: Handover, since: float) -> None:
        self.lease, self.handover, self.since = lease, handover, since
        self.primary: socket.socket | None = None
        self.other: socket.socket | None = None
        self.settled = True
        """The door is shut, or was looked at for the last time."""
        self.seen_at: float | None = None
        """When the child was first seen to listen, since the door was opened."""

    def take(self, *, strict: bool, claimed: Container[int] = ()) -> None:
        """Bind. `strict`: the other loopback has to be free as well. `claimed` are numbers that are known
        to be somebody's although nobody listens. Raises Taken."""
        self.primary = _bind(self.lease.host, self.lease.number, claimed)
        if self.handover is Handover.INHERIT or (other := other_loopback(self.lease.host)) is None:
            return
        try:
            self.other = _bind(other, self.lease.number, claimed)
        except Taken as taken:
            if strict and taken.why == errno.EADDRINUSE:
                self.close()
                raise

    def take_beside(self) -> None:
        """Bind, door open, for a child that runs already and may be about to listen: as far as the kernel lets us.
        Where the child listens it does not; the listener itself keeps others out then."""
        if self.handover is not Handover.SHARED:
            return
        self.primary = _bind_beside(self.lease.host, self.lease.number)
        if (other := other_loopback(self.lease.host)) is not None:
            self.other = _bind_beside(other, self.lease.number)
        self.settled, self.seen_at = False, None

    def open_door(self) -> None:
        for sock in self._sockets():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.settled, self.seen_at = False, None

    def shut_door(self) -> None:
        self.shut_primary()
        self.shut_other()
        self.settled = True

    def shut_primary(self) -> None:
        if self.primary is not None and self.handover is Handover.SHARED:
            self.primary.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def shut_other(self) -> None:
        if self.other is not None:
            self.other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def listen(self) -> int:
        """Make it a listening socket to be inherited; returns its descriptor. Raises OSError.

        The flag is set while it listens: its connections inherit it, and without it what remains of them
        would keep the socket from listening again. A listener keeps others out with it, too.
        """
        assert self.primary is not None
        self.primary.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.primary.listen(socket.SOMAXCONN)
        return self.primary.fileno()

    def fall_silent(self) -> None:
        """Listen no more, and stay bound."""
        if self.primary is not None:
            with contextlib.suppress(OSError):
                self.primary.shutdown(socket.SHUT_RDWR)
            self.primary.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def close(self) -> None:
        for sock in self._sockets():
            sock.close()
        self.primary = self.other = None
        self.settled = True

    @property
    def held(self) -> bool:
        return self.primary is not None

    def _sockets(self) -> list[socket.socket]:
        return [sock for sock in (self.primary, self.other) if sock is not None]


def other_loopback(host: str) -> str | None:
    """The address that `localhost` may mean as well."""
    if host == "0.0.0.0" or host.startswith("127."):
        return "::1"
    return "127.0.0.1" if host == "::1" else None


def _bind(host: str, number: int, claimed: Container[int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise Taken(error.errno or errno.EAFNOSUPPORT) from None
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
    try:
        sock.bind((host, number))
    except OSError as error:
        free = error.errno == errno.EADDRINUSE and number not in claimed
        if free and _bind_over_remains(sock, host, number):
            return sock
        sock.close()
        raise Taken(error.errno or errno.EADDRINUSE) from None
    return sock


def _bind_beside(host: str, number: int) -> socket.socket | None:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, number))
    except OSError:
        sock.close()
        return None
    return sock


def _bind_over_remains(sock: socket.socket, host: str, number: int) -> bool:
    """A server that has just gone leaves connections in TIME_WAIT, which fail an exclusive bind for a
    minute. If nobody listens and such remains are there to explain it, bind as a restarted server would.
    That could succeed beside a hold whose door is open, so holds are looked for as well."""
    if any(overlap(one.address, host) for one in listeners(number)) or not has_remains(number):
        return False
    if any(overlap(one.address, host) for one in bound(number) or ()):
        return False
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, number))
    except OSError:
        return False
    finally:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return True


def overlap(one: str, other: str) -> bool:
    """Whether sockets bound to these two addresses are in each other's way, as far as addresses tell."""
    if one == other or "::" in (one, other):
        return True
    same = (":" in one) == (":" in other)
    return same and "0.0.0.0" in (one, other)


def has_remains(number: int) -> bool:
    """Whether ended connections of this local port are still being waited out by the kernel."""
    line = re.compile(
        rb"^ *\d+: [0-9A-F]+:%04X [0-9A-F]+:[0-9A-F]{4} (?:%b) " % (number, "|".join(CLOSING).encode()),
        re.MULTILINE,
    )
    return any(line.search(_table(path)) for path in ("/proc/net/tcp", "/proc/net/tcp6"))


def _table(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def listens(known: Iterable[Listener], host: str, number: int) -> list[Listener]:
    """Those that stand where this hold is."""
    return [one for one in known if one.port == number and overlap(one.address, host)]
