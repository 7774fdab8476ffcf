"""What an edit of some services makes of a plan: they and what needs them are planned anew, the rest is as it was.

Decides which checks that span services an edit can have an effect on. Knows that others can say the same of the edited
services as before (`stack.edit`), and that all was in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from launchpad.core.model import Plan, PortRequest
from launchpad.errors import Diagnostic
from launchpad.plan import build, checks, gpus, graph, lint, ports, replaced
from launchpad.plan.head import Head, hides
from launchpad.stack.edit import Edited, edited
from launchpad.stack.loaded import Loaded
from launchpad.stack.problems import unique

__all__ = ["edited", "head", "plan", "warnings"]


def plan(was: Loaded, before: Plan, found: Edited, rev: int) -> Plan:
    """The plan of a stack in which nothing is wrong."""
    loaded, names = found.loaded, found.names
    asked = _Asked(loaded)
    services = {
        one.name: build.planned(loaded, one.name, asked)
        if one.name in names or (one.needs and any(need.on in names for need in one.needs))
        else one
        for one in before.services
    }
    if not _waits_alike(was, found):
        order = graph.topological({name: list(loaded.service(name).depends_on) for name in loaded.order})
        services = {name: services[name] for name in order}
    return Plan(rev, tuple(services.values()))


class _Asked(dict[str, tuple[PortRequest, ...]]):
    """The ports of each service, once somebody wants to know them."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def __missing__(self, name: str) -> tuple[PortRequest, ...]:
        return self.setdefault(name, ports.requests(self._loaded, name))


def head(before: Head, found: Edited, warnings: tuple[Diagnostic, ...], asked: Sequence[str]) -> Head:
    """What is known of the stack besides: nothing of it is other than before but what is told, and what is hidden."""
    names = found.loaded.environment if before.hides else found.names
    hidden = hides(found.loaded, asked, names)
    return replace(before, warnings=warnings, secrets=found.loaded.secrets, hides=hidden)


def warnings(was: Loaded, found: Edited, before: Sequence[Diagnostic]) -> tuple[Diagnostic, ...] | None:
    """Those of the stack as it is now; None where anything is wrong with it. `before`: those that there were, whose places
    may be others now."""
    if not before:
        return None if any(_found(was, found)) else ()
    told = unique([*build.problems(found.loaded), *found.loaded.warnings, *lint.warnings(found.loaded)])
    return None if any(one.is_error for one in told) else tuple(told)


def _found(was: Loaded, found: Edited) -> Iterator[Diagnostic]:
    """What there is to be told of the edited services, where there was nothing before."""
    loaded, names, asked = found.loaded, found.names, _Asked(found.loaded)
    yield from lint.warnings(loaded, names)
    for name in names:
        yield from checks.problems(loaded, name, [port.name for port in asked[name]])
        yield from replaced.problems(loaded, name, asked[name])
    if not _waits_alike(was, found):
        yield from graph.problems(loaded)
    if any(asked[name] != ports.requests(was, name) for name in names):
        yield from ports.problems(loaded, {name: asked[name] for name in loaded.order})
    if any(loaded.service(name).gpus for name in names):
        yield from gpus.problems(loaded, list(loaded.order))


def _waits_alike(was: Loaded, found: Edited) -> bool:
    """They need the same as before, in the same order and to the same end."""
    pairs = ((was.service(name), found.loaded.service(name)) for name in found.names)
    return all(list(old.depends_on.items()) == list(new.depends_on.items()) for old, new in pairs)
