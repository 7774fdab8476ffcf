"""Ends the tree of one attempt, and tells when nothing of it is left, or what holds it up.

Each signal goes to a process that was looked at, never to a bare pid. Which processes those are is
`tree`'s business; when to stop being patient is the core's.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from launchpad.hosts.local import process
from launchpad.hosts.local.process import Stat
from launchpad.hosts.local.tree import Key, describe

if TYPE_CHECKING:
    import asyncio

FREEZE_ROUNDS = 50
MOST_WATCHED = 128
"""Processes of one tree that are waited for by descriptor; deaths beyond these are seen by the timer."""
COALESCE_S = 0.002
PATIENCE_S = 0.5
"""How long a tree may take to leave before it is said what holds it up."""
LOOK_S = 0.5
"""How often a tree that is being waited for is looked at besides: what it starts meanwhile sends no event."""


def signal_all(members: Iterable[Stat], number: int, held: int | None = None) -> None:
    """A stopped process is woken up besides, so that it can act upon the signal. `held` is a descriptor of a single one."""
    for one in members:
        with contextlib.suppress(PermissionError):
            process.send(one.pid, one.start, number, held)
            if one.state in "Tt" and number not in (signal.SIGKILL, signal.SIGSTOP):
                process.send(one.pid, one.start, signal.SIGCONT, held)


def kill_all(look: Callable[[], list[Stat]]) -> list[Stat]:
    """SIGKILL everything that `look` finds, frozen first: what is stopped cannot start another. Returns
    those that were there; bounded, so a tree that outruns it is looked at again later."""
    members = look()
    if len(members) > 1:
        frozen: set[Key] = set()
        for _ in range(FREEZE_ROUNDS):
            fresh = [one for one in members if (one.pid, one.start) not in frozen]
            if not fresh:
                break
            signal_all(fresh, signal.SIGSTOP)
            frozen.update((one.pid, one.start) for one in fresh)
            members = look()
    signal_all(members, signal.SIGKILL)
    return members


class TreeEnd:
    """Waits for the end of one tree. `look` gives its live processes, `gone` is called once, `held` with
    a text whenever what is left has changed and patience is over. `besides` says what is left of it when no
    process is, "" for nothing."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        look: Callable[[], list[Stat]],
        gone: Callable[[], None],
        held: Callable[[str], None],
        besides: Callable[[], str] = lambda: "",
    ) -> None:
        self._loop, self._look, self._gone, self._held = loop, look, gone, held
        self._besides = besides
        self._killing = False
        self._watched: dict[Key, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._patient_until = 0.0
        self._said = ""
        self._closed = False

    def signal(self, number: int) -> None:
        """Send it to the whole tree, and wait for its end from now on."""
        self._patient_until = self._loop.time() + PATIENCE_S
        self._said = ""
        if number == signal.SIGKILL:
            self._killing = True
        else:
            signal_all(self._look(), number)
        self.look()

    def look(self) -> None:
        """See what is left, and act upon it."""
        if self._closed:
            return
        self._cancel_timer()
        members = kill_all(self._look) if self._killing else self._look()
        left = describe(members) if members else self._besides()
        if not left:
            self.close()
            self._gone()
            return
        self._watch(members)
        self._say(left)
        self._timer = self._loop.call_later(LOOK_S, self.look)

    def look_soon(self) -> None:
        """Something has ended; others may end in the same moment."""
        if self._closed:
            return
        self._cancel_timer()
        self._timer = self._loop.call_later(COALESCE_S, self.look)

    def _say(self, text: str) -> None:
        if self._loop.time() >= self._patient_until and text != self._said:
            self._said = text
            self._held(text)

    def _watch(self, members: list[Stat]) -> None:
        living = {(one.pid, one.start) for one in members}
        for key in [key for key in self._watched if key not in living]:
            self._unwatch(key)
        for key in living:
            if key not in self._watched and len(self._watched) < MOST_WATCHED:
                with contextlib.suppress(OSError, AttributeError):
                    fd = os.pidfd_open(key[0])
                    self._watched[key] = fd
                    self._loop.add_reader(fd, self._ended, key)

    def _ended(self, key: Key) -> None:
        self._unwatch(key)
        self.look_soon()

    def _unwatch(self, key: Key) -> None:
        fd = self._watched.pop(key, None)
        if fd is not None:
            self._loop.remove_reader(fd)
            os.close(fd)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Wait no more; nothing is told from now on."""
        self._closed = True
        self._cancel_timer()
        for key in list(self._watched):
            self._unwatch(key)
