"""What another plan needs before it may be applied: ports and GPUs are leased first, and if they are not to be had, nothing changes.

Decides which, and which of those that were refused it can do without until the plan itself has let go of them. Changes
nothing. Refuses to know how the plan came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from launchpad.core import gpus, ports
from launchpad.core.changes import gets_replacement, runs_on
from launchpad.core.facts import Refusal
from launchpad.core.identity import fits
from launchpad.core.model import Lease, Phase, Plan, PortRequest, Service
from launchpad.core.state import State, Unit


def stay_down(state: State, plan: Mapping[str, Service], retry: bool) -> list[str]:
    """A plan alone does not start what somebody stopped, nor what has failed as it is; unless that is to be tried again."""
    has_failed = Phase.FAILED
    return [
        name
        for name, unit in state.units.items()
        if unit.held_down
        or (unit.phase is has_failed and not retry and (unit.pending or unit.service) == plan.get(name))
    ]


def needed_first(state: State, plan: Plan, goals: Mapping[str, bool]) -> tuple[PortRequest, ...]:
    """All that the plan needs besides what is held: of those that it starts, of those that are wanted, and of
    replacements."""
    return tuple(
        port
        for service in plan.services
        if service.ports or service.gpus
        for port in _of(state, state.units.get(service.name), service, goals.get(service.name, False))
    )


def _of(state: State, unit: Unit | None, new: Service, starts: bool) -> Iterable[PortRequest]:
    if unit is not None and runs_on(unit, new):
        replaced = unit.wanted and gets_replacement(unit, new)
        return [ports.for_replacement(state, port) for port in _of_it(None, new) if replaced]
    if not starts and (unit is None or not _counts(unit)):
        return []
    asked = _of_it(unit, new)
    missing = (port for port in asked if not fits(state.leases.get((port.service, port.name)), port))
    return [ports.avoiding(state, port) for port in missing]


def _of_it(unit: Unit | None, new: Service) -> tuple[PortRequest, ...]:
    """All but GPUs that can wait, or that it does not need because its work is done."""
    done = unit is not None and unit.phase is Phase.DONE
    if done and unit is not None and unit.identity is not None and unit.identity.digest == new.digest:
        return new.ports
    return tuple(one for one in new.leased if one.gpu is None or not one.gpu.wait)


def _counts(unit: Unit) -> bool:
    """It is wanted, and has not failed: what has failed does not stand in the way of the others."""
    return unit.goal and unit.phase is not Phase.FAILED


def without_what_it_frees(
    state: State, plan: Plan, requests: Sequence[PortRequest], refusals: Sequence[Refusal]
) -> tuple[PortRequest, ...] | None:
    """What to ask for instead: a number that this very plan lets go of is asked for once it is free. None where
    something else was refused, and so the plan is."""
    freed = _freed(state, plan)
    for refusal in refusals:
        lease = next((one for one in freed if gpus.concerns(refusal, one)), None)
        if lease is None:
            return None
        freed.remove(lease)
    later = [(refusal.service, refusal.name) for refusal in refusals]
    return tuple(port for port in requests if (port.service, port.name) not in later)


def _freed(state: State, plan: Plan) -> list[Lease]:
    asked = {(port.service, port.name): port for service in plan.services for port in service.leased}
    leaving = [
        lease for key, lease in state.leases.items() if key not in asked or not fits(lease, asked[key])
    ]
    leaving += [lease for unit in state.beside.values() for lease in unit.leases.values()]
    return leaving + [lease for unit in state.everyone() for lease in unit.old_leases]
