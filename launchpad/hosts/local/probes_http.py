"""One HTTP request over a connection that is already made.

No proxy, no redirect followed, no connection kept: what is asked is exactly the address that was knocked at.
The client closes first, so that no half-dead connection stays on the server's port; where the server does, what would remain there
for a minute is swept away. h11 speaks the protocol
and is loaded with the first request.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import lru_cache
from typing import Any, Protocol

from launchpad.hosts.local.probes_net import Target
from launchpad.hosts.local.probes_plain import PlainStream
from launchpad.hosts.local.sockets import is_local

MAX_BODY = 256 << 10
_READ_BYTES = 65536
_LINGER_S = 1.0
_OURS = (("user-agent", "launchpad"), ("accept", "*/*"), ("accept-encoding", "identity"))


class HttpTrouble(Exception):
    """What answers does not speak HTTP as it should; the text is for people."""


class Stream(Protocol):
    """What a request goes over. `read` gives b"" at the end."""

    async def read(self, size: int) -> bytes: ...

    def write(self, data: bytes) -> None: ...

    def hang_up(self) -> None: ...


class Exchange:
    """A request that was sent, and its answer as far as it was read."""

    def __init__(self, stream: Stream) -> None:
        import h11

        self._h11 = h11
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_READ_BYTES)
        self._stream = stream
        self._body = bytearray()
        self._begun = b""
        self._ended = False
        self.status = 0

    async def head(self, target: Target, headers: tuple[tuple[str, str], ...], content: str = "") -> int:
        """Send the request, a POST where there is JSON to be sent, and wait for the status."""
        h11 = self._h11
        try:
            body = content.encode("utf-8")
            data = self._connection.send(_request(target, headers, len(body))) or b""
            data += (self._connection.send(h11.Data(data=body)) or b"") if body else b""
            data += self._connection.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError as error:
            raise HttpTrouble(f"cannot be asked: {error}") from None
        self._stream.write(data)
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                self.status = event.status_code
                return self.status
            if isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                raise HttpTrouble("closes the connection without an answer")

    async def body(self, limit: int = MAX_BODY) -> str:
        """Up to `limit` bytes of the answer's body."""
        while len(self._body) < limit and not self._ended:
            event = await self._event()
            if isinstance(event, self._h11.Data):
                self._body += event.data
            else:
                self._ended = True
        return self._body[:limit].decode("utf-8", "replace")

    async def beginning(self, wait_s: float) -> str:
        """What of the body comes within `wait_s` seconds."""
        try:
            async with asyncio.timeout(wait_s):
                return await self.body()
        except (TimeoutError, HttpTrouble, OSError):
            return self._body.decode("utf-8", "replace")

    async def farewell(self) -> None:
        """Until a server that said that it would has hung up. Raises OSError."""
        if self._connection.their_state is self._h11.MUST_CLOSE:
            while await self._stream.read(_READ_BYTES):
                pass

    def hang_up(self) -> None:
        """The end of it, at any time."""
        self._stream.hang_up()

    async def _event(self) -> Any:
        h11 = self._h11
        while True:
            try:
                event = self._connection.next_event()
            except h11.RemoteProtocolError as error:
                raise HttpTrouble(_protocol_words(str(error))) from None
            if event is not h11.NEED_DATA:
                return event
            data = await self._stream.read(_READ_BYTES)
            self._begun = (self._begun + data)[:5]
            if not b"HTTP/".startswith(self._begun):
                raise HttpTrouble("does not answer in HTTP")
            self._connection.receive_data(data)


async def begin(sock: socket.socket, target: Target, address: str) -> Exchange:
    """Make the connected socket ready for a request (TLS, where the URL says so). It is closed when this
    fails; else the exchange has to be hung up. Raises OSError, HttpTrouble."""
    stream = PlainStream(sock)
    try:
        return Exchange(stream if target.scheme == "http" else await _encrypted(stream, target, address))
    except BaseException:
        stream.hang_up()
        raise


async def _encrypted(stream: Stream, target: Target, address: str) -> Stream:
    from launchpad.hosts.local import probes_tls

    return await probes_tls.encrypted(stream, target.host, is_here=is_local(address))


async def linger(exchange: Exchange, limit_s: float = _LINGER_S) -> None:
    """Read the rest of an answer that is no longer of interest, so that a server that is still writing it
    does not find the connection broken; within bounds."""
    with contextlib.suppress(TimeoutError, HttpTrouble, OSError):
        async with asyncio.timeout(limit_s):
            await exchange.body()
            await exchange.farewell()


@lru_cache(maxsize=1024)
def _request(target: Target, headers: tuple[tuple[str, str], ...], body_bytes: int) -> Any:
    """The same again and again, and h11 looks at each part of it."""
    import h11

    merged = {"host": target.authority, **dict(_OURS)}
    if body_bytes:
        merged |= {"content-type": "application/json", "content-length": str(body_bytes)}
    if target.authorization:
        merged["authorization"] = target.authorization
    for name, value in headers:
        merged[name.lower()] = value
    pairs = [(name.encode("ascii"), value.encode("utf-8")) for name, value in merged.items()]
    return h11.Request(method="POST" if body_bytes else "GET", target=target.resource, headers=pairs)


def _protocol_words(text: str) -> str:
    if "ConnectionClosed" in text:
        return "closes the connection without an answer"
    if "closed connection" in text:
        return "closes the connection in the middle of its answer"
    return "does not answer in HTTP"
