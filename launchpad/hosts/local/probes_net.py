"""Knocking at an address: what to knock at, and a connection to it, without waiting where that can be known
at once.

On one's own machine the kernel answers a connect on the spot, so most knocks end before they begin. Knows
nothing of HTTP beyond the parts of a URL, and nothing of services.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import os
import socket
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from launchpad.hosts.local.sockets import where

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_PORTS = {"http": 80, "https": 443, "": None}
_SAFE = "/?:@!$&'()*+,;=%[]~-._"


class Target(Struct, frozen=True):
    """`scheme` is http, https or "" (plain TCP); `host` a literal address or a name; `resource` what an
    HTTP request asks for; `authority` its Host; `authorization` its header, or ""."""

    scheme: str
    host: str
    port: int
    resource: str = "/"
    authority: str = ""
    authorization: str = ""

    @property
    def is_literal(self) -> bool:
        return _is_literal(self.host)


@lru_cache(maxsize=1024)
def target_of(text: str) -> Target:
    """From a URL or from `host:port`. Raises ValueError with words for people."""
    parts = urlsplit(text if "://" in text else f"//{text}")
    if parts.scheme not in _PORTS:
        raise ValueError(f"`{text}` is neither http nor https")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        port = None
    if not parts.hostname or not port:
        raise ValueError(f"`{text}` has no host or no port")
    host = _WILDCARDS.get(parts.hostname, parts.hostname)
    resource = quote(parts.path or "/", _SAFE) + (f"?{quote(parts.query, _SAFE)}" if parts.query else "")
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    shown = f"[{host}]" if ":" in host else host
    authority = shown if port == _PORTS[parts.scheme] else f"{shown}:{port}"
    return Target(parts.scheme, host, port, resource, authority, authorization)


class Knock:
    """One connection attempt to a literal address. `state` is open, waiting, refused or failed (then
    `error` says why). Never waits by itself; to be closed."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.port = port
        self.error = ""
        self.sock: socket.socket | None = None
        try:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            self.sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            self.state = self._judge(self.sock.connect_ex((address, port)))
            if self.state == "waiting":
                self.state = self._judge(self.sock.connect_ex((address, port)))
        except OSError as error:
            self.state, self.error = "failed", error.strerror or str(error)
        if self.state in ("refused", "failed"):
            self.close()

    def __str__(self) -> str:
        return where(self.address, self.port)

    async def wait(self) -> None:
        """Until `state` is no longer "waiting"."""
        if self.state != "waiting":
            return
        assert self.sock is not None
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[None] = loop.create_future()
        descriptor = self.sock.fileno()
        loop.add_writer(descriptor, settle, settled)
        try:
            await settled
        finally:
            loop.remove_writer(descriptor)
        self.state = self._judge(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        if self.state != "open":
            self.close()

    def take(self) -> socket.socket:
        """The open socket, which is the caller's from now on."""
        assert self.sock is not None
        sock, self.sock = self.sock, None
        return sock

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def _judge(self, number: int) -> str:
        if number in (0, errno.EISCONN):
            return "refused" if self._reached_itself() else "open"
        if number in (errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN):
            return "waiting"
        if number in (errno.ECONNREFUSED, errno.ECONNRESET):
            return "refused"
        self.error = os.strerror(number)
        return "failed"

    def _reached_itself(self) -> bool:
        """With nobody there, the kernel may choose the very port as the source and connect it to itself."""
        assert self.sock is not None
        try:
            return bool(self.sock.getsockname()[:2] == self.sock.getpeername()[:2])
        except OSError:
            return True


def settle(future: asyncio.Future[None]) -> None:
    """What is waited for has come, if anybody still waits."""
    if not future.done():
        future.set_result(None)


class Names:
    """Host names → literal addresses, looked up in a thread and kept for some seconds."""

    KEPT_S = 10.0

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """Raises OSError when there are none."""
        if _is_literal(host):
            return [host]
        loop = asyncio.get_running_loop()
        until, found = self._known.get(host, (0.0, []))
        if loop.time() >= until:
            answers = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
            self._known[host] = (loop.time() + self.KEPT_S, found)
        return found


@lru_cache(maxsize=1024)
def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
