"""One question and its answer over one connection of the control socket, in HTTP/1.1.

h11 speaks the protocol; this decides how large a question may be, and that there is one for each connection: what is
left of a request that was refused is not waited for. Refuses to know what is asked.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import h11
from msgspec import Struct, field

from launchpad.control.guests import Guests

MAX_BODY = 1 << 20
"""Bytes."""
MAX_HEAD = 1 << 16


class Question(Struct):
    """`target` is path and query as they were sent. `problem`: why it is none, in words."""

    method: str = ""
    target: str = ""
    body: bytearray = field(default_factory=bytearray)
    problem: str = ""


class Answer(Struct, frozen=True):
    status: int
    content: bytes
    """JSON, in ASCII."""
    headers: Mapping[str, str] = field(default_factory=dict)


Answering = Callable[[Question], Awaitable[Answer]]


class Conversation(asyncio.Protocol):
    """`answer` never raises. `is_welcome` looks at the socket of whoever has come."""

    def __init__(self, answer: Answering, guests: Guests, is_welcome: Callable[[Any], bool]) -> None:
        self._answer, self._guests, self._is_welcome = answer, guests, is_welcome
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._question = Question()
        self._answering: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    @property
    def is_silent(self) -> bool:
        """Whether its question has not arrived as a whole."""
        return self._answering is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self._is_welcome(transport.get_extra_info("socket")):
            self._guests.came(self)
        else:
            self.send_away()

    def connection_lost(self, error: Exception | None) -> None:
        self._guests.left(self)

    def send_away(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self.is_silent:
            return
        self._http.receive_data(data)
        try:
            self._listen()
        except h11.RemoteProtocolError as error:
            self._question.problem = f"it is not HTTP: {error}"
            self._begin()

    def eof_received(self) -> bool:
        """Whoever says no more may still want to hear, if he has asked, and is there."""
        assert self.transport is not None
        return not self.is_silent and not _is_gone(self.transport.get_extra_info("socket").fileno())

    def _listen(self) -> None:
        while self.is_silent:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._question.method = event.method.decode("ascii")
                self._question.target = event.target.decode("latin-1")
                if self._http.they_are_waiting_for_100_continue:
                    self._send(h11.InformationalResponse(status_code=100, headers=[]))
            elif isinstance(event, h11.Data):
                self._question.body += event.data
                if len(self._question.body) > MAX_BODY:
                    self._question.problem = "the request is larger than 1 MB"
                    self._begin()
            elif isinstance(event, h11.EndOfMessage):
                self._begin()
            else:
                return

    def _begin(self) -> None:
        """It goes on also if whoever asked does not wait for it: what was begun is done as a whole."""
        task = asyncio.get_running_loop().create_task(self._converse())
        self._answering = task
        self._guests.asked(task)

    async def _converse(self) -> None:
        answer = await self._answer(self._question)
        assert self.transport is not None
        if self.transport.is_closing():
            return
        told = {"content-type": "application/json", "content-length": str(len(answer.content))}
        headers = {**told, "connection": "close", **answer.headers}
        self._send(h11.Response(status_code=answer.status, headers=list(headers.items())))
        if self._question.method != "HEAD":
            self._send(h11.Data(data=answer.content))
        self._send(h11.EndOfMessage())
        self.transport.close()

    def _send(self, event: h11.Event) -> None:
        assert self.transport is not None
        self.transport.write(self._http.send(event) or b"")


def _is_gone(connection: int) -> bool:
    """Whether the other side can neither speak nor hear."""
    look = select.poll()
    look.register(connection, 0)  # that it hung up is told unasked
    return bool(look.poll(0))
