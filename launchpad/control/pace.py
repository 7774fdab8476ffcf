"""How often a supervisor lets itself be asked: a script that asks in a circle shall not keep it from its work.

Who asks too often is not refused, but waits for its turn; that is never long, since only so many can be connected at
once (`guests`). Refuses to know what is asked.
"""

from __future__ import annotations

import asyncio

RATE = 200.0
"""Requests a second that are carried out in the long run."""
BURST = 400
"""So many at once are not made to wait."""


class Pace:
    """Methods belong to the event loop's thread."""

    def __init__(self, rate: float = RATE, burst: int = BURST) -> None:
        self._step_s, self._ahead_s = 1 / rate, burst / rate
        self._next = float("-inf")

    def wait_s(self, now: float) -> float:
        """How long whoever asks now, by the loop's clock, has to wait. Counts as asked."""
        self._next = max(self._next, now - self._ahead_s) + self._step_s
        return max(0.0, self._next - now)

    async def turn(self) -> None:
        wait = self.wait_s(asyncio.get_running_loop().time())
        if wait:
            await asyncio.sleep(wait)  # that time passes is all that is waited for
