"""Trees that this host did not start, or that are gone already, and that are to be ended all the same.

They are looked for by their markers. Decides nothing: what is sent, and when, is the core's.
"""

from __future__ import annotations

import asyncio

from launchpad.core.facts import TreeGone, TreeHeld
from launchpad.core.model import Handle
from launchpad.core.wishes import Signal
from launchpad.hosts.base import Tell
from launchpad.hosts.local.tree import Trees
from launchpad.hosts.local.tree_end import TreeEnd


class Strangers:
    def __init__(self, loop: asyncio.AbstractEventLoop, trees: Trees, tell: Tell) -> None:
        self._loop, self._trees, self._tell = loop, trees, tell
        self._ends: dict[int, TreeEnd] = {}

    def signal(self, wish: Signal) -> None:
        if wish.attempt not in self._ends:
            self._trees.add(wish.attempt, wish.handle or Handle(-1), adopted=True)
            self._ends[wish.attempt] = TreeEnd(
                self._loop,
                lambda: self._trees.members(wish.attempt),
                lambda: self._gone(wish),
                lambda text: self._tell(TreeHeld(wish.service, wish.attempt, text)),
            )
        self._ends[wish.attempt].signal(wish.signal)

    def _gone(self, wish: Signal) -> None:
        self._ends.pop(wish.attempt, None)
        self._trees.drop(wish.attempt)
        self._tell(TreeGone(wish.service, wish.attempt))

    def close(self) -> None:
        for end in self._ends.values():
            end.close()
        self._ends.clear()
