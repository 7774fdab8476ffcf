"""TLS over a stream, for an https check.

`asyncio` is imported without its own (`cli.light`): a check is one request and one answer, and nearly no stack has one that
asks in https. `ssl` is loaded with the first of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import TypeVar

from launchpad.hosts.local.probes_http import HttpTrouble, Stream

_READ_BYTES = 65536

Result = TypeVar("Result")


class TlsStream:
    """What `stream` carries, encrypted."""

    def __init__(self, stream: Stream, context: ssl.SSLContext, host: str) -> None:
        self._stream = stream
        self._come, self._go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._come, self._go, server_hostname=host)

    async def handshake(self) -> None:
        """Raises HttpTrouble, OSError."""
        try:
            await self._until_done(self._tls.do_handshake)
        except ssl.SSLError as error:
            raise HttpTrouble(_words(error)) from None

    def write(self, data: bytes) -> None:
        """Send `data`, whole, once the other side takes it."""
        self._tls.write(data)
        self._flush()

    async def read(self, size: int) -> bytes:
        """Up to `size` bytes; none: it has ended, with a farewell or without. Raises HttpTrouble, OSError."""
        try:
            return await self._until_done(lambda: self._tls.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as error:
            raise HttpTrouble(_words(error)) from None

    def hang_up(self) -> None:
        """At once: a farewell would be waited for."""
        self._stream.hang_up()

    async def _until_done(self, attempt: Callable[[], Result]) -> Result:
        while True:
            try:
                return attempt()
            except ssl.SSLWantReadError:
                pass
            finally:
                self._flush()
            data = await self._stream.read(_READ_BYTES)
            if data:
                self._come.write(data)
            else:
                self._come.write_eof()

    def _flush(self) -> None:
        if self._go.pending:
            with contextlib.suppress(OSError):  # what is wrong is said by what comes
                self._stream.write(self._go.read())


async def encrypted(stream: Stream, host: str, *, is_here: bool) -> TlsStream:
    """The stream after the handshake. On this machine a certificate proves nothing that the owner of the socket does not;
    elsewhere it is checked. Loading the certificates takes a while, so that is done in a thread. Raises
    HttpTrouble, OSError."""
    context = _unchecked() if is_here else await asyncio.to_thread(ssl.create_default_context)
    made = TlsStream(stream, context, host)
    await made.handshake()
    return made


def _words(error: ssl.SSLError) -> str:
    return f"no TLS connection: {(error.reason or 'handshake failed').replace('_', ' ').lower()}"


def _unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
