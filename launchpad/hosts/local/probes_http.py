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
import struct
from collections.abc import Iterable
from typing import Any, Protocol

from launchpad.hosts.local.probes_net import Target
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


class _Plain:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.read = reader.read
        self.write = writer.write

    def hang_up(self) -> None:
        """A server that has hung up first would keep the connection in TIME_WAIT, and a program that binds without
        SO_REUSEADDR could not be started again on its port. It has closed its socket, so it does not see the reset."""
        sock = self._writer.get_extra_info("socket")
        if sock is not None and self._reader.at_eof():
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.close()


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

    async def head(self, target: Target, headers: Iterable[tuple[str, str]], content: str = "") -> int:
        """Send the request, a POST where there is JSON to be sent, and wait for the status."""
        h11 = self._h11
        try:
            body = content.encode("utf-8")
            data = self._connection.send(_request(h11, target, headers, body)) or b""
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

    async def farewell(self, wait_s: float) -> None:
        """Until a server that said that it would has hung up."""
        if self._connection.their_state is not self._h11.MUST_CLOSE:
            return
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(wait_s):
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
    try:
        reader, writer = await asyncio.open_connection(sock=sock)
    except BaseException:
        sock.close()
        raise
    if target.scheme != "https":
        return Exchange(_Plain(reader, writer))
    try:
        return Exchange(await _encrypted(reader, writer, target.host, address))
    except BaseException:
        writer.transport.abort()
        raise


async def _encrypted(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, address: str
) -> Stream:
    from launchpad.hosts.local import probes_tls

    return await probes_tls.encrypted(reader, writer, host, is_here=is_local(address))


async def linger(exchange: Exchange, limit_s: float = _LINGER_S) -> None:
    """Read the rest of an answer that is no longer of interest, so that a server that is still writing it
    does not find the connection broken; within bounds."""
    await exchange.beginning(limit_s)
    await exchange.farewell(limit_s)


def _request(h11: Any, target: Target, headers: Iterable[tuple[str, str]], body: bytes) -> Any:
    merged = {"host": target.authority, **dict(_OURS)}
    if body:
        merged |= {"content-type": "application/json", "content-length": str(len(body))}
    if target.authorization:
        merged["authorization"] = target.authorization
    for name, value in headers:
        merged[name.lower()] = value
    pairs = [(name, value.encode("utf-8")) for name, value in merged.items()]
    return h11.Request(method="POST" if body else "GET", target=target.resource, headers=pairs)


def _protocol_words(text: str) -> str:
    if "ConnectionClosed" in text:
        return "closes the connection without an answer"
    if "closed connection" in text:
        return "closes the connection in the middle of its answer"
    return "does not answer in HTTP"
