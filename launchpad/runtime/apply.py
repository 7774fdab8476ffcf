"""Another plan for a running stack: everything that can fail is tried first, then it is applied at once.

Ports that the new plan needs besides are leased before anything changes; if one is not free, the
stack stays exactly as it is.
"""

from __future__ import annotations

from dataclasses import replace

from launchpad.control.api import Reply
from launchpad.core.facts import PlanApplied, PortsLeased, PortsRefused
from launchpad.core.identity import fits
from launchpad.core.model import Plan, PortRequest
from launchpad.errors import Diagnostic, Refused
from launchpad.plan.read import Reading
from launchpad.runtime.supervisor import Supervisor


async def apply(supervisor: Supervisor, reading: Reading, names: tuple[str, ...]) -> Reply:
    """Make the stack what `reading` says. Raises Refused, with nothing changed."""
    plan = replace(reading.plan, rev=supervisor.engine.state.rev + 1)
    goals = _goals(supervisor, reading, names)
    changes = describe(supervisor, plan, dict(goals))
    leased = await _lease_first(supervisor, plan, dict(goals), reading)
    supervisor.adopt_reading(reading, names)
    supervisor.driver.step(*leased, PlanApplied(plan, goals))
    return Reply(True, changes=changes)


def preview(supervisor: Supervisor, reading: Reading, names: tuple[str, ...]) -> Reply:
    """What `apply` would change; nothing is. Raises Refused."""
    goals = _goals(supervisor, reading, names)
    return Reply(True, changes=describe(supervisor, reading.plan, dict(goals)))


def _goals(supervisor: Supervisor, reading: Reading, names: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    """What is asked for by name, and what is new; what somebody stopped stays stopped."""
    units = supervisor.engine.units
    return tuple(
        (name, up)
        for name, up in reading.goals(names)
        if up and (name in names or name not in units or not units[name].held_down)
    )


async def _lease_first(
    supervisor: Supervisor, plan: Plan, goals: dict[str, bool], reading: Reading
) -> tuple[PortsLeased, ...]:
    requests = _additional(supervisor, plan, goals)
    if not requests:
        return ()
    answer = await supervisor.driver.lease(requests)
    if isinstance(answer, PortsRefused):
        raise Refused(_refused(answer, reading))
    return (answer,)


def _additional(supervisor: Supervisor, plan: Plan, goals: dict[str, bool]) -> tuple[PortRequest, ...]:
    leases = supervisor.engine.state.leases
    units = supervisor.engine.units
    return tuple(
        port
        for service in plan.services
        if goals.get(service.name) or (service.name in units and units[service.name].goal)
        for port in service.ports
        if not fits(leases.get((service.name, port.name)), port)
    )


def _refused(answer: PortsRefused, reading: Reading) -> list[Diagnostic]:
    found = []
    for refusal in answer.refusals:
        key = ("port",) if refusal.name == "main" else ("ports", refusal.name)
        label = reading.label(refusal.service, *key)
        found.append(
            Diagnostic(
                "E301",
                f"no free port for `{refusal.service}` in {refusal.low}-{refusal.high}",
                labels=(label,) if label else (),
                notes=refusal.notes,
                consequence="nothing was changed, the stack runs as before",
                hint=f"widen the range: `{refusal.low}-{min(65535, refusal.low + 99)}`",
            )
        )
    return found


def describe(supervisor: Supervisor, plan: Plan, goals: dict[str, bool]) -> tuple[str, ...]:
    """One line for each service that changes, and how many do not."""
    units = supervisor.engine.units
    new = {service.name: service for service in plan.services}
    lines = [
        f"stop {name}: no longer in the stack"
        for name, u in units.items()
        if name not in new and not u.removed
    ]
    kept = 0
    for name, service in new.items():
        unit = units.get(name)
        if unit is None or unit.removed:
            lines.append(f"start {name}: new" if goals.get(name) else f"add {name}")
        elif unit.service.digest != service.digest and (unit.is_alive or unit.goal):
            lines.append(f"restart {name}: its definition changed")
        else:
            kept += 1
    return (*lines, f"keep {kept} service{'s' if kept != 1 else ''}")
