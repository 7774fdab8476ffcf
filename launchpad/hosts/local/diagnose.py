"""Whose socket it is that answers, and where a service listens when nobody does.

Ready means *this* process: an answer counts only if every listening socket that the connection may have
reached is open in one of the service's own processes. Decides nothing about readiness itself; it says what
it saw, in words.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from msgspec import Struct

from launchpad.core.model import Seen
from launchpad.hosts.local import process, sockets
from launchpad.hosts.local.running import Running
from launchpad.hosts.local.sockets import Listener, where

FINAL_AFTER_S = 1.0
"""A server that opens several sockets, one after the other, is given this long before its first is judged."""
_SHOWN = 3
BELIEVED_S = 30.0
"""How long it is not asked anew which processes a service has, while the one that listens is the same."""


class _Owner(Struct, frozen=True):
    """A process of the service, by pid and start, which has the socket open as this descriptor."""

    pid: int
    start: int
    descriptor: int
    until: float

    def still_has(self, inode: int) -> bool:
        found = process.stat(self.pid)
        return (
            found is not None
            and found.start == self.start
            and sockets.holds(self.pid, self.descriptor, inode)
        )


class Ownership:
    """Tells strangers from the service's own processes. A socket's owner is remembered, and looked at again each time
    before it is believed; all processes of the service only now and then, since a process stays whose it is."""

    def __init__(self, pids: Callable[[Running], set[int]], now: Callable[[], float]) -> None:
        self._pids = pids
        self._now = now
        self._known: dict[tuple[int, int], _Owner] = {}

    def stranger(self, running: Running, address: str, port: int, *, answers: bool = True) -> str:
        """Who else than the service serves this literal address of this machine; "" when nobody but it does.
        An address of another machine is nobody's business here."""
        if not sockets.is_local(address):
            return ""
        serving = sockets.serving(address, port, sockets.listeners(port))
        does = f"answers on {where(address, port)}" if answers else f"listens on {where(address, port)}"
        if not serving:
            return (
                f"something {does}, but its listening socket cannot be seen: perhaps not `{running.service}`"
            )
        foreign = [listener for listener in serving if not self._is_ours(running, listener)]
        if not foreign:
            return ""
        if len(foreign) < len(serving):
            return f"{self._who(foreign[0])} shares {where(address, port)} with `{running.service}`"
        return f"{self._who(foreign[0])} {does}, not `{running.service}`"

    def forget(self, attempt: int) -> None:
        for key in [key for key in self._known if key[0] == attempt]:
            del self._known[key]

    def _is_ours(self, running: Running, listener: Listener) -> bool:
        key, now = (running.attempt, listener.inode), self._now()
        owner = self._known.get(key)
        if owner is not None and now < owner.until and owner.still_has(listener.inode):
            return True
        self._known.pop(key, None)
        found = sockets.owners({listener.inode}, self._pids(running)).get(listener.inode)
        if found is not None and (one := process.stat(found[0])) is not None:
            self._known[key] = _Owner(one.pid, one.start, found[1], now + BELIEVED_S)
        return found is not None

    def _who(self, listener: Listener) -> str:
        found = sockets.owners({listener.inode}, sockets.visible_pids()).get(listener.inode)
        if found is not None:
            return sockets.named(found[0])
        if listener.uid != os.getuid():
            return f"a process of user {listener.uid} (its name is not visible to you)"
        return "a process that is not visible to you"


class Elsewhere:
    """Where a service listens while nobody is found at the address that was knocked at."""

    def __init__(self, pids: Callable[[Running], set[int]], now: Callable[[], float]) -> None:
        self._pids = pids
        self._now = now
        self._first_seen: dict[tuple[int, str], float] = {}

    def look(self, running: Running, address: str, port: int, *, refused: bool) -> Seen | None:
        """None: nowhere that matters. Final: for a second or more it has listened on the very port, but
        at another address. Other ports are never final (a server may open an auxiliary one first), and
        those that the stack has given it are expected."""
        mine = sockets.owned_by(self._pids(running))
        if any(_serves(listener, address, port, refused) for listener, _ in mine):
            self._forget(running.attempt, address, port)
            return None
        same = [pair for pair in mine if pair[0].port == port]
        if same:
            since = self._first_seen.setdefault(_key(running.attempt, address, port), self._now())
            return _seen(same, address, port, final=self._now() - since >= FINAL_AFTER_S)
        self._forget(running.attempt, address, port)
        given = {lease.number for lease in running.launch.ports}
        others = [pair for pair in mine if pair[0].port not in given]
        return _seen(others, address, port, final=False) if others else None

    def forget(self, attempt: int) -> None:
        for key in [key for key in self._first_seen if key[0] == attempt]:
            del self._first_seen[key]

    def _forget(self, attempt: int, address: str, port: int) -> None:
        self._first_seen.pop(_key(attempt, address, port), None)


def _serves(listener: Listener, address: str, port: int, refused: bool) -> bool:
    """A socket for all addresses that refused an IPv4 connection takes IPv6 alone, whatever is known of it."""
    if refused and listener.address == "::" and ":" not in address:
        return False
    return bool(sockets.serving(address, port, [listener]))


def _key(attempt: int, address: str, port: int) -> tuple[int, str]:
    return attempt, where(address, port)


def _seen(found: list[tuple[Listener, int]], address: str, port: int, *, final: bool) -> Seen:
    places = ", ".join(f"{listener} ({sockets.named(pid)})" for listener, pid in found[:_SHOWN])
    if len(found) > _SHOWN:
        places += f" and {len(found) - _SHOWN} more"
    return Seen("elsewhere", f"listens on {places}, launchpad knocks at {where(address, port)}", final=final)
