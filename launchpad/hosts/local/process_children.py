"""Our own children: those that were spawned, each waited for by whoever spawned it, and those that came.

Orphans of services come to launchpad because it is a subreaper; they are reaped here when they end. A
child that somebody in this program waits for is claimed, and never touched here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from launchpad.hosts.local import process

if TYPE_CHECKING:
    import asyncio

PR_SET_CHILD_SUBREAPER = 36
UNWATCHED_S = 0.05
"""How often a main process is looked at where the kernel can send neither pidfd nor SIGCHLD."""
UNKNOWN_S = 2.0
"""A dead child of which nobody has said anything is left this long to whoever may yet wait for it."""

_claimed: set[int] = set()


def claim(pid: int) -> None:
    """Somebody waits for this child: it is no orphan, and its exit status is not taken from it."""
    _claimed.add(pid)


def disclaim(pid: int) -> None:
    """It has been waited for."""
    _claimed.discard(pid)


def become_subreaper() -> bool:
    """From now on what loses its parent among our descendants becomes our child. False where the kernel cannot."""
    try:
        return bool(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def orphans() -> list[int]:
    """Children of ours, dead or alive, that nobody here spawned. Complete: only we can reap them."""
    me = os.getpid()
    own = process.children(me) if process.children_are_listed() else process.parents().get(me, [])
    return [pid for pid in own if pid not in _claimed]


class Reaper:
    """Reaps orphans as they end. `is_kin` says whether a session is one of a service: what ended there is
    surely an orphan. `told` is called after orphans were seen to end."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, is_kin: Callable[[int], bool], told: Callable[[], None]
    ) -> None:
        self._loop, self._is_kin, self._told = loop, is_kin, told
        self._unknown: dict[tuple[int, int], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looks = self._closed = False
        self.hears = False
        with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):
            loop.add_signal_handler(signal.SIGCHLD, self._hear)
            self.hears = True

    def _hear(self) -> None:
        """One look serves all that have ended by then."""
        if not self._looks:
            self._looks = True
            self._loop.call_soon(self.look)

    def look(self) -> None:
        self._looks = False
        if self._closed:
            return
        now = self._loop.time()
        dead = list(self._dead())
        self._unknown = {key: self._unknown.get(key, now) for _, key in dead}
        for session, key in dead:
            if self._is_kin(session) or now - self._unknown[key] >= UNKNOWN_S:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(key[0], os.WNOHANG)
                del self._unknown[key]
        if self._unknown and self._timer is None:
            self._timer = self._loop.call_later(UNKNOWN_S, self._again)
        self._told()

    def _dead(self) -> Iterator[tuple[int, tuple[int, int]]]:
        for pid in orphans():
            one = process.stat(pid)
            if one is not None and not one.lives:
                yield one.session, (pid, one.start)

    def _again(self) -> None:
        self._timer = None
        self.look()

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self.hears:
            self._loop.remove_signal_handler(signal.SIGCHLD)


class Together:
    """Main processes whose end is heard in one turn of the loop are dealt with at once: `ended` is called with all of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ended: Callable[..., None]) -> None:
        self._loop, self._ended = loop, ended
        self._heard: dict[int, None] = {}

    def add(self, attempt: int) -> None:
        if not self._heard:
            self._loop.call_soon(self._tell)
        self._heard[attempt] = None

    def _tell(self) -> None:
        heard, self._heard = self._heard, {}
        self._ended(*heard)


class Unwatched:
    """Calls `look` now and then, as long as `is_any` main process has to be looked at."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, is_any: Callable[[], bool], look: Callable[[], None]
    ) -> None:
        self._loop, self._is_any, self._look = loop, is_any, look
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        if self._timer is None and self._is_any():
            self._timer = self._loop.call_later(UNWATCHED_S, self._again)

    def _again(self) -> None:
        self._timer = None
        self._look()
        self.watch()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
