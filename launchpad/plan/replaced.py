"""What `on_change: replace` asks of a service: that two of its processes can live side by side.

Refuses what cannot work, where it is written. Knows nothing of how a replacement comes about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from launchpad.core.model import OnChange, PortRequest
from launchpad.errors import Diagnostic, Label
from launchpad.plan import ports
from launchpad.stack.loaded import Loaded
from launchpad.stack.problems import CHECK, CONFLICT, error

NO_SECOND = "E312"


def problems(loaded: Loaded, name: str, asked: Sequence[PortRequest]) -> Iterator[Diagnostic]:
    """Of one service; nothing unless it is to be replaced."""
    service, at = loaded.service(name), loaded.span(name, "on_change")
    if service.on_change.action != OnChange.REPLACE:
        return
    if loaded.is_job(name):
        message = f"`on_change: replace` belongs to a server, and `{name}` is a job"
        hint = f"give `{name}` an `on_change` of its own: `restart` or `keep`"
        yield error(CONFLICT, message, at, hint=hint)
        return
    others = [Label(at, "its replacement runs beside it")] if at else []
    if (port := _without_a_second(asked)) is not None:
        span = str(port.low) if port.low == port.high else f"{port.low}-{port.high}"
        yield error(
            NO_SECOND,
            f"`{name}` is to be replaced, and port {span} leaves no second number",
            ports.place(loaded, name, port.name),
            "two are needed" if port.low == port.high else "too narrow for two of each",
            others=others,
            hint=f"`{_wider(port)}`",
        )
    if service.ready is not None and service.ready.log is not None:
        yield error(
            CHECK,
            f"`{name}` is to be replaced, and a line of its log does not tell which of the two is ready",
            loaded.span(name, "ready", "log"),
            "both print into one log",
            others=others,
            hint="`http`, `tcp`, `exec`, `notify`, or `on_change: restart`",
        )


def _without_a_second(asked: Sequence[PortRequest]) -> PortRequest | None:
    """The narrowest port of a range that does not have two numbers for each that has to be in it."""
    for port in sorted(asked, key=lambda one: one.high - one.low):
        for low in (one.low for one in asked if one.low <= port.low):
            inside = [one for one in asked if low <= one.low and one.high <= port.high]
            if port in inside and 2 * len(inside) > port.high - low + 1:
                return port
    return None


def _wider(port: PortRequest) -> str:
    high = min(65535, max(port.high, port.low + 9))
    return f"{min(port.low, high - 9)}-{high}"
