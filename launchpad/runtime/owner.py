"""The process with which a stack ends: whoever started it for himself alone, and may be killed without a word.

Decides how that process is watched. Refuses to know why it wants its stack to end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from launchpad.errors import Diagnostic, Refused


class Owner:
    """One process, held by a descriptor: its pid may be given to another one later, and children that it forks do not
    keep it alive. Made before the supervisor is forked off, so that no end is missed. Raises Refused."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._fd = os.pidfd_open(pid)
        except (OSError, OverflowError):
            raise _no_process(pid) from None

    def watch(self, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
        """Call `ended` in `loop` once, when the process has ended; at once, if it has already."""

        def tell() -> None:
            loop.remove_reader(self._fd)
            ended()

        loop.add_reader(self._fd, tell)


def _no_process(pid: int) -> Refused:
    return Refused(
        [
            Diagnostic(
                "E670",
                f"there is no process {pid}",
                notes=("`--until-exit` names the process with which the stack shall end",),
                consequence="nothing was started",
            )
        ]
    )
