"""Environments in the simulated world: each takes its time, or fails, and is there for good once it is whole.

Decides nothing by itself: what becomes of each is said by whoever makes the world.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from launchpad.core.facts import Fact, Prepared, PrepareFailed, Preparing
from launchpad.core.wishes import Abandon, Prepare


class Making(Struct, frozen=True):
    """What becomes of an environment. `takes_s` None: it never ends."""

    takes_s: float | None = 0.1
    fails: str = ""


class SimEnvironments:
    """`after` lets something happen later, `answer` tells a fact as far as it gets through."""

    def __init__(
        self, after: Callable[[float, Callable[[], None]], None], answer: Callable[[Fact], None]
    ) -> None:
        self._after, self._answer = after, answer
        self.made: dict[str, None] = {}
        """Folders of environments that are there, whole."""
        self.makings: dict[str, Making] = {}
        """What becomes of others, by their folder."""
        self.asked: dict[int, Prepare] = {}
        """What is being made, or would be, if it ever ended."""

    def prepare(self, wish: Prepare) -> None:
        folder = wish.environment.folder
        if wish.request in self.asked:
            return
        if folder in self.made:
            self._answer(Prepared(wish.request))
            return
        self.asked[wish.request] = wish
        self._answer(Preparing(wish.request, f"making {folder}"))
        making = self.makings.get(folder, Making())
        if making.takes_s is not None:
            self._after(making.takes_s, lambda: self._ended(wish, making))

    def _ended(self, wish: Prepare, making: Making) -> None:
        if self.asked.get(wish.request) is not wish:
            return  # given up, or of a supervisor that is gone
        del self.asked[wish.request]
        if making.fails:
            self._answer(PrepareFailed(wish.request, making.fails))
            return
        self.made[wish.environment.folder] = None
        self._answer(Prepared(wish.request))

    def abandon(self, wish: Abandon) -> None:
        self.asked.pop(wish.request, None)

    def mend(self) -> None:
        """From now on nothing goes wrong; what would never have ended does."""
        self.makings = {}
        for wish in list(self.asked.values()):
            self._after(Making().takes_s or 0.0, lambda wish=wish: self._ended(wish, Making()))  # type: ignore[misc]

    def drop(self) -> None:
        """Whoever asked is gone, and what was being made with it."""
        self.asked.clear()
