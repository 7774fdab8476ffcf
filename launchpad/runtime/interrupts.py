"""Ctrl-C and its relatives: first an orderly stop, then no more grace, then leave at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from launchpad.core.facts import CloseAsked, KillAsked
from launchpad.errors import ExitCode, listed

if TYPE_CHECKING:
    from launchpad.runtime.supervisor import Supervisor

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Counts; the third signal ends launchpad whatever is left, and says what that is."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._count = 0

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # `nohup launchpad up`: it is to go on when its terminal is closed
            loop.add_signal_handler(number, self.interrupted)

    def interrupted(self) -> None:
        self._count += 1
        if self._count == 1:
            self._supervisor.driver.step(CloseAsked(int(ExitCode.INTERRUPTED)))
        elif self._count == 2:
            self._supervisor.driver.step(KillAsked())
        else:
            self._leave()

    def _leave(self) -> None:
        left = [f"{view.name} (pid {view.pid})" for view in self._supervisor.live_views()]
        text = "\n" if sys.stderr.isatty() else ""  # below the block that nobody takes away any more
        text += f"launchpad: left at once; still alive: {listed(left)}\n" if left else ""
        with contextlib.suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), text.encode())
        os._exit(int(ExitCode.INTERRUPTED))
