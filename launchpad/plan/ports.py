"""Port requests, and fixed ports that two services of one stack ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from launchpad.core.model import Handover, PortRequest
from launchpad.errors import Diagnostic, Label, Span
from launchpad.stack.loaded import Loaded
from launchpad.stack.problems import error
from launchpad.stack.scope import MAIN

TWICE = "E310"


def requests(loaded: Loaded, name: str) -> tuple[PortRequest, ...]:
    """The main port first, then the others as they are written."""
    service = loaded.service(name)
    written = {**({MAIN: service.port} if service.port else {}), **service.ports}
    names = sorted(written, key=lambda port: port != MAIN)
    return tuple(
        PortRequest(
            name,
            port,
            written[port].low,
            written[port].high,
            service.host,
            Handover(service.handover),
            written[port].auto,
        )
        for port in names
    )


def place(loaded: Loaded, service: str, port: str) -> Span | None:
    """Where a port is asked for."""
    if port == MAIN and "port" in loaded.trees[service].entries:
        return loaded.span(service, "port")
    return loaded.span(service, "ports", port)


def problems(loaded: Loaded, asked: Mapping[str, tuple[PortRequest, ...]]) -> Iterator[Diagnostic]:
    """The same fixed port twice. Services that no profile starts together may share one."""
    seen: dict[int, list[PortRequest]] = {}
    for request in (one for some in asked.values() for one in some if one.low == one.high):
        same = seen.setdefault(request.low, [])
        for other in same:
            if _same_host(request.host, other.host):
                if not _together(loaded, request.service, other.service):
                    continue
                yield _twice(loaded, other, request)
                break
        same.append(request)


def _same_host(one: str, other: str) -> bool:
    anywhere = ("0.0.0.0", "::")
    return one == other or one in anywhere or other in anywhere


def _together(loaded: Loaded, one: str, other: str) -> bool:
    first, second = loaded.service(one).profiles, loaded.service(other).profiles
    return one == other or not first or not second or bool(set(first) & set(second))


def _twice(loaded: Loaded, first: PortRequest, second: PortRequest) -> Diagnostic:
    at = place(loaded, first.service, first.name)
    others = [Label(at, f"`{first.service}` takes it")] if at else []
    who = (
        f"`{first.service}` twice"
        if first.service == second.service
        else f"`{first.service}` and `{second.service}`"
    )
    return error(
        TWICE,
        f"port {second.low} is asked for by {who}",
        place(loaded, second.service, second.name),
        f"`{second.service}` asks for it as well",
        others=others,
        hint=f"write `{second.low + 1}`, a range, or `auto`",
    )
