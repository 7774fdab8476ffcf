"""Another plan for a running stack: everything that can fail is tried first, then it is applied at once.

Ports that the new plan needs besides are leased before anything changes; if one is not free, the
stack stays exactly as it is. Which those are, the core says.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from msgspec.structs import replace

from launchpad.core.facts import PlanApplied, PortsLeased
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
    known, asked = {**services, **reading.groups}, reading.each(asked)
    units = supervisor.engine.units
    up = [name for name, unit in units.items() if unit.goal and not unit.removed and name in services]
    wanted = set(_up(reading, names, known, asked))
    if not wanted.issuperset(up):
        wanted.update(_up(reading, tuple(up), known, ()))
    copies = [copy for group in reading.groups.values() for copy in group]
    held = [copy for copy in copies if _is_held(reading, copy, units)]
    wanted.difference_update({*supervisor.engine.stay_down(services, retry), *held}.difference(asked))
    return tuple([(name, True) for name in services if name in wanted])


def _up(
    reading: Reading, names: tuple[str, ...], known: Container[str], asked: tuple[str, ...]
) -> tuple[str, ...]:
    left = tuple(name for name in names if name in known)
    return reading.wanted((*left, *asked)) if left or asked or not names else ()


def _is_held(reading: Reading, name: str, units: Mapping[str, Unit]) -> bool:
    """It is another copy of what somebody stopped, all of it."""
    copies = reading.groups.get(reading.head.origin[name], ())
    known = [units[one] for one in copies if one in units]
    return name in copies and any(one.held_down for one in known) and not any(one.wanted for one in known)


async def apply(
    supervisor: Supervisor,
    reading: Reading,
    goals: Goals,
    names: tuple[str, ...],
    tell: Callable[[], None],
) -> None:
    """Make the stack what `reading` says. `tell` is called when nothing can fail any more. Raises Refused, with nothing
    changed."""
    leased = await _lease_first(supervisor, reading, goals)
    plan = replace(reading.plan, rev=supervisor.engine.state.rev + 1)
    supervisor.adopt_reading(reading, names)
    tell()
    supervisor.driver.step(*leased, PlanApplied(plan, goals))


async def _lease_first(supervisor: Supervisor, reading: Reading, goals: Goals) -> tuple[PortsLeased, ...]:
    engine, plan = supervisor.engine, reading.plan
    requests = engine.needed_first(plan, goals)
    while requests:
        answer = await supervisor.driver.lease(requests)
        if isinstance(answer, PortsLeased):
            return (replace(answer, beside=tuple({port.service: None for port in requests if port.beside})),)
        left = engine.without_what_it_frees(plan, requests, answer.refusals)
        if left is None:
            services = {service.name: service for service in plan.services}
            found = {(one.service, one.gpus or one.name): one for one in answer.refusals}
            raise Refused([refused(one, reading.label, UNCHANGED, services) for one in found.values()])
        requests = left
    return ()
