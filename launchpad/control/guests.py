"""Who is connected to the control socket: how many at once, and how long somebody may take to ask.

A connection that says nothing holds a descriptor, and a supervisor that has no more of them can start nothing. So
the one that has kept silent longest makes room for a new one. Refuses to know what is asked.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

MOST = 200
REQUEST_S = 10.0
"""How long a request may take to arrive."""


class Guest(Protocol):
    """What is used of uvicorn's protocol: `cycle` is the request that has come, None before that."""

    cycle: Any
    transport: Any


class Guests:
    """Methods belong to the event loop's thread."""

    def __init__(self) -> None:
        self._here: dict[Guest, asyncio.TimerHandle] = {}

    def came(self, guest: Guest) -> None:
        if len(self._here) >= MOST:
            silent = next((one for one in self._here if is_silent(one)), guest)
            silent.transport.abort()
            if silent is guest:
                return
            self.left(silent)
        loop = asyncio.get_running_loop()
        self._here[guest] = loop.call_later(REQUEST_S, self._send_away, guest)

    def left(self, guest: Guest) -> None:
        timer = self._here.pop(guest, None)
        if timer is not None:
            timer.cancel()

    def _send_away(self, guest: Guest) -> None:
        if is_silent(guest):
            guest.transport.abort()


def is_silent(guest: Guest) -> bool:
    """Whether its request has not arrived as a whole."""
    return guest.cycle is None or bool(guest.cycle.more_body)
