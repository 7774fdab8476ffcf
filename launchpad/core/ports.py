"""Which ports are asked for, taken in and let go. All of a batch or none; nothing that somebody still uses.

Refuses to know how a port is held; a host does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from launchpad.core import gpus, moves
from launchpad.core.facts import PortsLeased, PortsRefused, Refusal
from launchpad.core.identity import fits, missing_ports, uses, wanted_identity
from launchpad.core.model import Lease, Outcome, Phase, PortRequest
from launchpad.core.state import Batch, Role, State, Unit
from launchpad.core.wishes import AbandonPorts, LeasePorts, ReleasePorts, Wish

REFUSED = 2
"""The exit code of a stack of which nothing was started, because it did not get its ports."""
LEASE_ANSWER_S = 30.0
"""A request that a host has not answered by then is made anew."""
Asked = tuple[str, str, int, int, bool]
"""Service, name of the port, range, and whether it is for a replacement."""


def lease_missing(state: State, touched: Iterable[str], now: float) -> None:
    """One request for all ports that are missing anywhere; while it is open, no other. Only what was `touched` can have
    begun, or ceased, to miss some."""
    for key in touched:
        unit = state.find(key)
        if unit is not None and _missing(state, [unit]):
            state.lacking[key] = None
        else:
            state.lacking.pop(key, None)
    if not state.lacking or state.open is not None or state.closing is not None or _is_to_come(state):
        return
    missing = _missing(state, (unit for key, unit in state.units.items() if key in state.lacking))
    for unit in () if missing else state.beside.values():
        missing = missing or _missing(state, [unit])  # none that runs shall make another fail
    if not missing:
        return
    state.batches += 1
    requests = tuple(avoiding(state, port) for port in missing.values())
    state.open = Batch(state.batches, requests, now + LEASE_ANSWER_S)
    preferred = tuple(state.known_ports[key] for key in missing if key in state.known_ports)
    state.wishes.append(LeasePorts(state.batches, requests, preferred))


def _missing(state: State, units: Iterable[Unit]) -> dict[tuple[str, str], PortRequest]:
    return {
        (port.service, port.name): port
        for unit in units
        if unit.phase is Phase.IDLE and unit.wanted
        for port in missing_ports(state, unit)
        if not gpus.waits(state, port)
    }


def for_replacement(state: State, port: PortRequest) -> PortRequest:
    """The same request for a replacement: another number than any other process of the service has."""
    return avoiding(state, replace(port, beside=True))


def avoiding(state: State, port: PortRequest) -> PortRequest:
    """Without the numbers of the other process, or processes, of the same service."""
    key = (port.service, port.name)
    unit, other = state.units.get(port.service), state.beside.get(port.service)
    found = [*other.leases.values(), *other.old_leases] if other is not None else []
    if unit is not None and port.beside:
        found += [*unit.old_leases, *([state.leases[key]] if key in state.leases else [])]
    elif unit is not None:
        found += unit.leases.values()
    mine = (lease.number for lease in found if (lease.service, lease.name) == key)
    return replace(port, avoid=tuple(sorted(mine)))


def give_up_waiting(state: State, now: float) -> None:
    """The answer was lost, or takes its time: it does not count any more, and whoever misses ports asks again."""
    if state.open is not None and state.open.due <= now:
        state.wishes.append(AbandonPorts(state.open.number))
        _close_batch(state)


def leased(state: State, fact: PortsLeased, now: float) -> None:
    """Batches below zero were asked for by the runtime, for the plan that follows in the same step."""
    batch = _answered(state, fact)
    if fact.batch > 0 and batch is None:
        return
    spare = [(r.service, r.name) for r in batch.requests if r.beside] if batch is not None else []
    for lease in fact.leases:
        if lease.service in fact.beside or (lease.service, lease.name) in spare:
            _take_beside(state, lease)
        else:
            take(state, lease)
    if batch is not None and not batch.is_old:  # else it is asked again
        gpus.wait(state, fact, now)
    state.leases_changed = True


def _answered(state: State, fact: PortsLeased | PortsRefused) -> Batch | None:
    """The request that this answers, which is closed; None if it was given up, answered before, or is void."""
    batch = state.open
    if batch is None or batch.number != fact.batch:
        return None
    _close_batch(state)
    if batch.is_void:
        state.wishes.append(AbandonPorts(batch.number))
        return None
    return batch


def _take_beside(state: State, lease: Lease) -> None:
    """For the replacement that waits for it, or one that is to come (`replacement` lets go of what none wants)."""
    unit, other = state.units.get(lease.service), state.beside.get(lease.service)
    if unit is None:
        gpus.let_go(state, [lease])
        return
    if lease == state.leases.get((lease.service, lease.name)):
        return  # asked for twice at once, and got as its own: a replacement that waits asks for another
    waits = other is not None and other.role is Role.NEXT and not other.attempt
    hold_for(state, other if other is not None and waits else unit, lease)
    for one in (unit, other):
        if one is not None and lease in one.old_leases:
            one.old_leases.remove(lease)
    state.touch(unit.name)


def hold_for(state: State, unit: Unit, lease: Lease) -> None:
    """Held for a replacement from now on; what was held for it under that name before is let go."""
    old = unit.leases.get(lease.name)
    unit.leases[lease.name] = lease
    if old is not None and old != lease:
        _let_go(state, old)


def _is_known(state: State, lease: Lease) -> bool:
    """It is held for its service, by any of its processes."""
    if state.leases.get((lease.service, lease.name)) == lease:
        return True
    both = (state.units.get(lease.service), state.beside.get(lease.service))
    return any(lease in (*unit.leases.values(), *unit.old_leases) for unit in both if unit is not None)


def retract(state: State, wishes: list[Wish]) -> list[Wish]:
    """The wishes of a step, without the release of what was taken in again in the very same."""
    found: list[Wish] = []
    for wish in wishes:
        if isinstance(wish, ReleasePorts):
            free = tuple(lease for lease in wish.leases if not _is_known(state, lease))
            found += [ReleasePorts(free)] if free else []
        else:
            found.append(wish)
    return found


def take(state: State, lease: Lease) -> None:
    """It is held from now on; what was held under that name before is let go."""
    key = (lease.service, lease.name)
    old = state.leases.get(key)
    state.leases[key] = state.known_ports[key] = lease
    if (unit := state.units.get(lease.service)) is not None and lease in unit.old_leases:
        unit.old_leases.remove(lease)
    if old is not None and old != lease:
        _let_go(state, old)
    state.touch_users(lease.service)


def lose(state: State, unit: Unit, names: Iterable[str]) -> None:
    """Somebody else has come in through an open door: another number of the range, where there is one, for the next start."""
    ranges = {port.name: port for port in unit.service.ports if port.low != port.high}
    for name in names:
        lease = state.leases.get((unit.name, name))
        if unit.role is Role.SERVICE and name in ranges and lease is not None:
            del state.leases[unit.name, name]
            state.known_ports.pop((unit.name, name), None)
            _let_go(state, lease)
            state.touch_users(unit.name)


def refused(state: State, fact: PortsRefused, now: float) -> None:
    """Whoever waited for a port of the batch has failed, unless the port is about to be let go, or was meanwhile."""
    batch = _answered(state, fact)
    if batch is None or batch.is_old:
        return  # what is still missing is asked for again
    state.awaited = tuple(
        lease for lease in _leaving(state) if any(gpus.concerns(one, lease) for one in fact.refusals)
    )
    if state.awaited:
        return
    waiting = _waiting(state, batch.requests)
    said = _who_gets_none(state, fact, [key for missing in waiting.values() for key in missing], now)
    if not said:
        return  # wanted by nobody any more
    untouched = state.is_untouched
    for unit in (one for key in waiting if (one := state.find(key)) is not None):
        text = said.get(unit.name) or _because_of(said)
        unit.last = Outcome("ports", now, None, text)
        unit.identity = wanted_identity(state, unit)
        moves.enter(state, unit, Phase.FAILED, now, text)
    if untouched and state.closing is None:
        moves.close(state, now, REFUSED, "the stack does not get its ports")


def _waiting(state: State, requests: Iterable[PortRequest]) -> dict[str, list[Asked]]:
    """Who still misses which of these."""
    asked = [_asked_as(port) for port in requests]
    found = {
        unit.key: [key for port in missing_ports(state, unit) if (key := _asked_as(port)) in asked]
        for unit in state.everyone()
        if unit.wanted and unit.phase is Phase.IDLE
    }
    return {key: missing for key, missing in found.items() if missing}


def _asked_as(port: PortRequest | Refusal) -> Asked:
    return port.service, port.name, port.low, port.high, port.beside


def _who_gets_none(state: State, fact: PortsRefused, missing: Sequence[Asked], now: float) -> dict[str, str]:
    """Service → what of that which it still misses there is not."""
    said: dict[str, str] = {}
    for refusal in (one for one in fact.refusals if _asked_as(one) in missing):
        unit = state.units[refusal.service]
        if unit.name not in said or not refusal.gpus:
            said[unit.name] = "no free GPU" if refusal.gpus else "no free port"
            span = "" if refusal.gpus else f" in {refusal.low}-{refusal.high}"
            state.note(now, unit, "ports", said[unit.name] + span)
    return said


def _because_of(said: dict[str, str]) -> str:
    """What is to be said of those for which there would have been enough."""
    first, *more = said
    others = f" and {len(more)} more" if more else ""
    return f"not started: {said[first]} for `{first}`{others}"


def _close_batch(state: State) -> None:
    state.open = None
    state.leases_changed = True  # what is still missing is asked for again
    if state.is_untouched:
        for name in list(state.units):
            state.touch(name)


def _leaving(state: State) -> list[Lease]:
    """What is let go as soon as the process that uses it is gone."""
    leaving = [lease for unit in state.everyone() for lease in unit.old_leases]
    return [*leaving, *gpus.on_their_way(state)]


def _is_to_come(state: State) -> bool:
    """All that was refused and is about to be let go still is."""
    if not state.awaited:
        return False
    leaving = _leaving(state)
    if all(lease in leaving for lease in state.awaited):
        return True
    state.awaited = ()
    return False


def sort_out(state: State) -> None:
    """Leases that no longer fit a request are let go once what uses them is gone; those that do again are kept."""
    state.leases_changed = False
    requests = _requests(state)
    for key, lease in list(state.leases.items()):
        request = requests.get(key)
        if request is None or not fits(lease, request):
            del state.leases[key]
            state.touch_users(lease.service)
            _let_go(state, lease)
    for unit in [unit for unit in state.units.values() if unit.old_leases]:
        for lease in list(unit.old_leases):
            key = (lease.service, lease.name)
            request = requests.get(key)
            runs_on = unit.pending is not None and uses(unit, lease)
            if request is not None and fits(lease, request) and (runs_on or key not in state.leases):
                take(state, lease)


def _requests(state: State) -> dict[tuple[str, str], PortRequest]:
    services = [unit.service for unit in state.units.values() if not unit.removed]
    return {
        (port.service, port.name): port
        for service in services
        if service.ports or service.gpus
        for port in service.leased
    }


def _let_go(state: State, lease: Lease) -> None:
    unit = state.units.get(lease.service)
    if unit is None:
        gpus.let_go(state, [lease])
    elif lease not in unit.old_leases:
        unit.old_leases.append(lease)
        state.touch(unit.name)
