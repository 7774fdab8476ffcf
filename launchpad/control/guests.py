"""Who is connected to the control socket: how many at once, and how long somebody may take to ask.

A connection that says nothing holds a descriptor, and a supervisor that has no more of them can start nothing. So
the one that has kept silent longest makes room for a new one. Refuses to know what is asked.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

MOST = 200
REQUEST_S = 10.0
"""How long a request may take to arrive."""


class Guest(Protocol):
    @property
    def is_silent(self) -> bool:
        """Whether its request has not arrived as a whole."""

    def send_away(self) -> None: ...


class Guests:
    """Methods belong to the event loop's thread."""

    def __init__(self) -> None:
        self._here: dict[Guest, asyncio.TimerHandle] = {}
        self._answering: set[asyncio.Task[None]] = set()

    def came(self, guest: Guest) -> None:
        if len(self._here) >= MOST:
            silent = next((one for one in self._here if one.is_silent), guest)
            silent.send_away()
            if silent is guest:
                return
            self.left(silent)
        loop = asyncio.get_running_loop()
        self._here[guest] = loop.call_later(REQUEST_S, self._send_away, guest)

    def asked(self, answering: asyncio.Task[None]) -> None:
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)

    def left(self, guest: Guest) -> None:
        timer = self._here.pop(guest, None)
        if timer is not None:
            timer.cancel()

    async def all_answered(self, within_s: float) -> None:
        """Who has asked gets an answer, if that does not take longer."""
        if self._answering:
            await asyncio.wait(self._answering, timeout=within_s)

    def _send_away(self, guest: Guest) -> None:
        if guest.is_silent:
            guest.send_away()
