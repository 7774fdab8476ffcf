"""A connected socket as a stream, for a request and its answer: what a check asks in http goes over this.

asyncio's own streams are a reader, a protocol, a transport and some turns of the loop more for each check, and ask for a quarter of a
megabyte for each piece that is read. Knows nothing of what it carries.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from launchpad.hosts.local.probes_net import settle

_RESET = struct.pack("ii", 1, 0)


class PlainStream:
    """Owns `sock`, which does not block. One `read` at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._unsent = b""

    async def read(self, size: int) -> bytes:
        """Up to `size` bytes, once there are some; none: the other side has hung up. Raises OSError."""
        while True:
            try:
                return self._sock.recv(size)
            except BlockingIOError:
                await self._something_came()

    async def _something_came(self) -> None:
        came: asyncio.Future[None] = self._loop.create_future()
        descriptor = self._sock.fileno()
        self._loop.add_reader(descriptor, settle, came)
        try:
            await came
        finally:
            self._loop.remove_reader(descriptor)

    def write(self, data: bytes) -> None:
        """Send it as fast as it is taken; what goes wrong later is seen by who reads. Raises OSError."""
        self._unsent += data
        self._send()
        if self._unsent:
            self._loop.add_writer(self._sock.fileno(), self._go_on)

    def _send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[self._sock.send(self._unsent) :]

    def _go_on(self) -> None:
        try:
            self._send()
        except OSError:
            self._unsent = b""
        if not self._unsent:
            self._loop.remove_writer(self._sock.fileno())

    def hang_up(self) -> None:
        """A server that has hung up first would keep the connection in TIME_WAIT, and a program that binds without
        SO_REUSEADDR could not be started again on its port. It has closed its socket, so it does not see the reset."""
        if self._sock.fileno() < 0:
            return
        if self._unsent:
            self._loop.remove_writer(self._sock.fileno())
        with contextlib.suppress(OSError):
            if self._has_ended():
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._sock.close()

    def _has_ended(self) -> bool:
        try:
            return not self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
