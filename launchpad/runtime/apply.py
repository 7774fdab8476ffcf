"""Another plan for a running stack: everything that can fail is tried first, then it is applied at once.

Ports that the new plan needs besides are leased before anything changes; if one is not free, the
stack stays exactly as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import replace

from launchpad.core.changes import gets_replacement, runs_on
from launchpad.core.facts import PlanApplied, PortsLeased, Refusal
from launchpad.core.gpus import concerns, needed_first
from launchpad.core.identity import fits
from launchpad.core.model import Lease, OnChange, Phase, Plan, PortRequest, Service
from launchpad.core.ports import avoiding, for_replacement
from launchpad.core.state import Unit
from launchpad.errors import Refused
from launchpad.plan.read import Goals, Reading
from launchpad.runtime.effects import UNCHANGED
from launchpad.runtime.problems import refused
from launchpad.runtime.supervisor import Supervisor


def goals_of(
    supervisor: Supervisor, reading: Reading, names: tuple[str, ...], asked: tuple[str, ...], retry: bool
) -> Goals:
    """What is wanted up. `names` are those the stack was started for (some may be gone); `asked` were named just now.
    What somebody stopped stays stopped, and what failed and has not changed is tried again only with `retry`,
    unless it is asked for."""
    services = {service.name: service for service in reading.plan.services}
    known, asked = {**services, **reading.loaded.groups}, reading.each(asked)
    units = supervisor.engine.units
    up = [unit.name for unit in units.values() if unit.wanted and unit.name in services]
    wanted = {name for name, _ in _up(reading, names, known, asked)}
    wanted.update(name for name, _ in _up(reading, tuple(up), known, ()))
    return tuple(
        (name, True)
        for name, service in services.items()
        if name in wanted
        and (name in asked or not (_rests(units.get(name), service, retry) or _is_held(reading, name, units)))
    )


def _up(
    reading: Reading, names: tuple[str, ...], known: Container[str], asked: tuple[str, ...]
) -> list[tuple[str, bool]]:
    left = tuple(name for name in names if name in known)
    goals = reading.goals((*left, *asked)) if left or asked or not names else ()
    return [goal for goal in goals if goal[1]]


def _rests(unit: Unit | None, service: Service, retry: bool) -> bool:
    if unit is None:
        return False
    same = (unit.pending or unit.service) == service
    return unit.held_down or (unit.phase is Phase.FAILED and not retry and same)


def _is_held(reading: Reading, name: str, units: Mapping[str, Unit]) -> bool:
    """It is another copy of what somebody stopped, all of it."""
    copies = reading.loaded.groups.get(reading.loaded.origin[name], ())
    known = [units[one] for one in copies if one in units]
    return name in copies and any(one.held_down for one in known) and not any(one.wanted for one in known)


async def apply(
    supervisor: Supervisor,
    reading: Reading,
    goals: Goals,
    names: tuple[str, ...],
    keep: Container[str],
    tell: Callable[[], None],
) -> None:
    """Make the stack what `reading` says. `keep` are services that keep their process, and its ports, over a
    change of their definition; `tell` is called when nothing can fail any more. Raises Refused, with nothing
    changed."""
    state = supervisor.engine.state
    replaced = _replaced(supervisor, reading.plan)
    requests = tuple(
        avoiding(state, port)
        for port in _additional(supervisor, reading.plan, dict(goals))
        if port.service not in keep and port.service not in replaced
    )
    requests += tuple(for_replacement(state, port) for ports in replaced.values() for port in ports)
    leased = await _lease_first(supervisor, requests, reading)
    plan = replace(reading.plan, rev=supervisor.engine.state.rev + 1)
    supervisor.adopt_reading(reading, names)
    tell()
    supervisor.driver.step(*leased, PlanApplied(plan, goals))


async def _lease_first(
    supervisor: Supervisor, requests: tuple[PortRequest, ...], reading: Reading
) -> tuple[PortsLeased, ...]:
    """A number that a service of this stack is about to let go, because of this very plan, is not refused: the
    core asks for it once it is free."""
    freed = _freed(supervisor, reading.plan)
    while requests:
        answer = await supervisor.driver.lease(requests)
        if isinstance(answer, PortsLeased):
            return (replace(answer, beside=tuple({port.service: None for port in requests if port.beside})),)
        later = [refusal for refusal in answer.refusals if _take_freed(refusal, freed)]
        if len(later) < len(answer.refusals):
            found = {(one.service, one.gpus or one.name): one for one in answer.refusals}
            services = {service.name: service for service in reading.plan.services}
            raise Refused([refused(one, reading.label, UNCHANGED, services) for one in found.values()])
        keys = [(refusal.service, refusal.name) for refusal in later]
        requests = tuple(port for port in requests if (port.service, port.name) not in keys)
    return ()


def _replaced(supervisor: Supervisor, plan: Plan) -> dict[str, tuple[PortRequest, ...]]:
    """Services that run on until a replacement is ready, and what that needs besides: nothing if it is under way,
    or has been tried."""
    found = {}
    for service in plan.services:
        unit = supervisor.engine.units.get(service.name)
        if unit is not None and service.on_change is OnChange.REPLACE and runs_on(unit, service):
            due = unit.wanted and gets_replacement(unit, service)
            found[service.name] = needed_first(None, service) if due else ()
    return found


def _additional(supervisor: Supervisor, plan: Plan, goals: dict[str, bool]) -> tuple[PortRequest, ...]:
    leases = supervisor.engine.state.leases
    units = supervisor.engine.units
    return tuple(
        port
        for service in plan.services
        if goals.get(service.name) or (service.name in units and _holds_on(units[service.name]))
        for port in needed_first(units.get(service.name), service)
        if not fits(leases.get((service.name, port.name)), port)
    )


def _holds_on(unit: Unit) -> bool:
    """It is wanted, and has not failed: what has failed does not stand in the way of the others."""
    return unit.goal and unit.phase is not Phase.FAILED


def _freed(supervisor: Supervisor, plan: Plan) -> list[Lease]:
    requests = {(port.service, port.name): port for service in plan.services for port in service.leased}
    state = supervisor.engine.state
    leaving = [
        lease for key, lease in state.leases.items() if key not in requests or not fits(lease, requests[key])
    ]
    leaving += [lease for unit in state.beside.values() for lease in unit.leases.values()]
    return leaving + [lease for unit in state.everyone() for lease in unit.old_leases]


def _take_freed(refusal: Refusal, freed: list[Lease]) -> bool:
    for lease in freed:
        if concerns(refusal, lease):
            freed.remove(lease)
            return True
    return False
