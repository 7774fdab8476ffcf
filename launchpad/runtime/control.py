"""What the control socket may ask of a supervisor: each request checked, then handed on."""

from __future__ import annotations

from typing import Any

from launchpad.control.api import Reply, Snapshot
from launchpad.errors import Diagnostic, Refused
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
        names = _names(body)
        if verb == "scale" and not isinstance(body.get("scale"), dict):
            raise _refused("`scale` is a map from names to numbers")
        if verb in ("apply", "reload", "scale"):
            return await self._reloader.asked(body, names, retry=verb == "apply")
        if verb == "diff":
            return await self._reloader.compare(body, names)
        asks = {"start": supervisor.ask_start, "stop": supervisor.ask_stop, "restart": supervisor.ask_restart}
        if verb not in asks:
            raise _refused(f"there is no request `{verb}`")
        if not names:
            raise _refused(f"`{verb}` needs at least one name")
        return asks[verb](supervisor.reading.each(names))


def _names(body: dict[str, Any]) -> tuple[str, ...]:
    names = body.get("names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _refused("`names` is a list of names")
    return tuple(names)


def _refused(text: str) -> Refused:
    return Refused([Diagnostic("E602", text, consequence="nothing was done")])
