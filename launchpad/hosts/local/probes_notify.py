"""Readiness that a service declares itself: waits for READY=1 on its NOTIFY_SOCKET.

Goes on reading after that for as long as the attempt lives, since a service that reports its status to a
socket nobody reads would be blocked one day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from launchpad.core.model import Seen
from launchpad.hosts.local import notify, sockets
from launchpad.hosts.local.running import Running

_SHOWN_CHARS = 120


class NotifyWatch:
    """Listens to one attempt. `tell` is called with what it says: ready, its status, or a stranger."""

    def __init__(
        self, running: Running, pids: Callable[[Running], set[int]], tell: Callable[[bool, Seen], None]
    ) -> None:
        assert running.notify is not None
        self.ready = Seen("ok", "said that it is ready") if running.notified else None
        self._running = running
        self._sock = running.notify
        self._descriptor = running.notify.fileno()
        self._pids = pids
        self._tell = tell
        self._status = ""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._readable)
        self._readable()

    def close(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            self._descriptor = -1

    def _readable(self) -> None:
        if self._sock.fileno() < 0:
            self.close()
            return
        pids: set[int] | None = None
        for message in notify.receive(self._sock):
            if self.ready is not None:
                continue
            pids = self._pids(self._running) if pids is None or message.pid not in pids else pids
            if notify.counts(message, pids):
                self._heard(message.values)
            else:
                who = f"{sockets.named(message.pid)} says it is ready, not `{self._running.service}`"
                if message.values.get("READY") == "1":
                    self._tell(False, Seen("stranger", who))

    def _heard(self, values: dict[str, str]) -> None:
        status = " ".join(values.get("STATUS", "").split())[:_SHOWN_CHARS]
        self._status = status or self._status
        if values.get("READY") == "1":
            said = f': "{self._status}"' if self._status else ""
            self.ready = Seen("ok", f"says it is ready{said}")
            self._tell(True, self.ready)
        elif status:
            self._tell(False, Seen("status", f'says "{status}"'))
