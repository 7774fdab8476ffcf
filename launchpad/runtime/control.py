"""What the control socket may ask of a supervisor: requests that are well-formed (`control.requests`), handed on."""

from __future__ import annotations

from typing import Any

from launchpad.control.api import Reply, Snapshot
from launchpad.runtime.reload import Reloader
from launchpad.runtime.supervisor import Supervisor


class Control:
    def __init__(self, supervisor: Supervisor, reloader: Reloader) -> None:
        self._supervisor = supervisor
        self._reloader = reloader

    async def status(self, after: int | None, timeout_s: float) -> Snapshot:
        return await self._supervisor.status(after, timeout_s)

    async def ask(self, verb: str, body: dict[str, Any]) -> Reply:
        """Carry out `start`, `stop`, `restart`, `down`, `apply`, `reload`, `scale` or `diff`. Raises Refused."""
        supervisor = self._supervisor
        if verb == "down":
            return supervisor.ask_down(body.get("kill") is True)
        names = tuple(body.get("names", ()))
        if verb in ("apply", "reload", "scale"):
            return await self._reloader.asked(body, names, retry=verb == "apply")
        if verb == "diff":
            return await self._reloader.compare(body, names)
        asks = {"start": supervisor.ask_start, "stop": supervisor.ask_stop, "restart": supervisor.ask_restart}
        return asks[verb](supervisor.reading.each(names))
