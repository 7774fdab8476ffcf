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
        """To be called once whoever else hears signals does. The loop itself hears of a signal by a byte in a buffer, which
        those of some hundred children that end at once fill; so it is told of ours in a way that no flood drowns."""
        for number in SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # `nohup launchpad up`: it is to go on when its terminal is closed
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(self.interrupted))
            signal.siginterrupt(number, False)
        woken = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)  # a full buffer wakes as well

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
