"""What the control socket may ask of a supervisor: each request checked, then handed on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launchpad.control.api import Reply, Snapshot
from launchpad.errors import Diagnostic, Refused
from launchpad.plan.read import Reading
from launchpad.runtime.apply import apply, preview
from launchpad.runtime.supervisor import Supervisor

Reread = Callable[[dict[str, Any]], tuple[Reading, Callable[[], None]]]
"""Reads the stack file again, with the options of an `apply` request, and gives what makes these options the
stack's own once the reading is applied; raises Refused."""


class Control:
    def __init__(self, supervisor: Supervisor, reread: Reread) -> None:
        self._supervisor = supervisor
        self._reread = reread

    async def status(self, after: int | None, timeout_s: float) -> Snapshot:
        return await self._supervisor.status(after, timeout_s)

    async def ask(self, verb: str, body: dict[str, Any]) -> Reply:
        """Carry out `start`, `stop`, `restart`, `down`, `apply` or `diff`. Raises Refused."""
        supervisor = self._supervisor
        if verb == "down":
            return supervisor.ask_down(body.get("kill") is True)
        names = _names(body)
        if verb == "diff":
            return preview(supervisor, self._reread(body)[0], supervisor.names)
        if verb == "apply":
            reading, keep_options = self._reread(body)
            everything = body.get("all") is True
            reply = await apply(supervisor, reading, names if names or everything else supervisor.names)
            keep_options()
            return reply
        asks = {"start": supervisor.ask_start, "stop": supervisor.ask_stop, "restart": supervisor.ask_restart}
        if verb not in asks:
            raise _refused(f"there is no request `{verb}`")
        if not names:
            raise _refused(f"`{verb}` needs at least one name")
        return asks[verb](names)


def _names(body: dict[str, Any]) -> tuple[str, ...]:
    names = body.get("names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _refused("`names` is a list of names")
    return tuple(names)


def _refused(text: str) -> Refused:
    return Refused([Diagnostic("E602", text, consequence="nothing was done")])
