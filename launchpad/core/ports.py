"""Which ports are asked for, taken in and let go. All of a batch or none; nothing that somebody still uses.

Refuses to know how a port is held; a host does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from launchpad.core import gpus, moves
from launchpad.core.facts import PortsLeased, PortsRefused
from launchpad.core.identity import fits, missing_ports, uses, wanted_identity
from launchpad.core.model import Lease, Outcome, Phase, PortRequest
from launchpad.core.state import Role, State, Unit
from launchpad.core.wishes import LeasePorts, ReleasePorts, Wish

REFUSED = 2
"""The exit code of a stack of which nothing was started, because it did not get its ports."""
LEASE_ANSWER_S = 30.0
"""A request that a host has not answered by then is made anew."""


def lease_missing(state: State, now: float) -> None:
    """One request for all ports that are missing anywhere; while it is open, no other."""
    if state.batch_open is not None or state.ports_wait or state.closing is not None:
        return
    missing = _missing(state, state.units.values())
    for unit in () if missing else state.beside.values():
        missing = missing or _missing(state, [unit])  # none that runs shall make another fail
    if not missing:
        return
    state.batch += 1
    state.batch_open, state.batch_deadline = state.batch, now + LEASE_ANSWER_S
    requests = state.asked[state.batch] = tuple(avoiding(state, port) for port in missing.values())
    preferred = tuple(state.known_ports[key] for key in missing if key in state.known_ports)
    state.wishes.append(LeasePorts(state.batch, requests, preferred))


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
    key, unit, other = (
        (port.service, port.name),
        state.units.get(port.service),
        state.beside.get(port.service),
    )
    found = [*other.leases.values(), *other.old_leases] if other is not None else []
    if unit is not None and port.beside:
        found += [*unit.old_leases, *(lease for at, lease in state.leases.items() if at == key)]
    elif unit is not None:
        found += unit.leases.values()
    mine = (lease.number for lease in found if (lease.service, lease.name) == key)
    return replace(port, avoid=tuple(sorted(mine)))


def give_up_waiting(state: State, now: float) -> None:
    """The answer was lost, or takes its time; whoever misses ports asks again."""
    if state.batch_deadline is not None and state.batch_deadline <= now:
        _close_batch(state)
        _let_go_late(state)


def leased(state: State, fact: PortsLeased, now: float) -> None:
    """Batches below zero were asked for by the runtime, for the plan that follows in the same step."""
    requests = state.asked.pop(fact.batch, None)
    if fact.batch > 0 and requests is None:
        return  # told twice
    if fact.batch > 0 and fact.batch != state.batch_open:
        _too_late(state, fact)
        return
    answered = fact.batch == state.batch_open
    if answered:
        _close_batch(state)
    spare = [(r.service, r.name) for r in requests or () if r.beside]
    for lease in fact.leases:
        if lease.service in fact.beside or (lease.service, lease.name) in spare:
            _take_beside(state, lease)
        else:
            take(state, lease)
    if answered:
        _let_go_late(state)
        gpus.wait(state, fact, now)
    state.leases_changed = True


def _take_beside(state: State, lease: Lease) -> None:
    """For the replacement that waits for it, or one that is to come (`replacement` lets go of what none wants)."""
    unit, other = state.units.get(lease.service), state.beside.get(lease.service)
    if unit is None:
        state.wishes.append(ReleasePorts((lease,)))
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


def _too_late(state: State, fact: PortsLeased) -> None:
    """What was asked for again is answered again; the rest is wanted by nobody."""
    for lease in fact.leases:
        if _is_asked_for(state, lease):
            state.late.append(lease)
        elif lease not in _known(state, lease.service):
            state.wishes.append(ReleasePorts((lease,)))


def _let_go_late(state: State) -> None:
    """What came too late, and was not in the answer that it was kept for."""
    late, state.late = state.late, []
    free = tuple(lease for lease in late if lease not in _known(state, lease.service))
    if free:
        state.wishes.append(ReleasePorts(free))


def _known(state: State, name: str) -> Iterator[Lease]:
    """Every port that is held for this service, by any of its processes."""
    yield from (lease for key, lease in state.leases.items() if key[0] == name)
    for unit in (state.units.get(name), state.beside.get(name)):
        if unit is not None:
            yield from (*unit.leases.values(), *unit.old_leases)


def _is_asked_for(state: State, lease: Lease) -> bool:
    """The open request may be answered with this very lease: it must not be let go before that."""
    requests = state.asked.get(state.batch_open or 0, ())
    return any((r.service, r.name) == (lease.service, lease.name) and fits(lease, r) for r in requests)


def let_go(state: State, wishes: list[Wish]) -> list[Wish]:
    """The wishes of a step, without the release of what was taken in again in the very same."""
    found: list[Wish] = []
    for wish in wishes:
        if isinstance(wish, ReleasePorts):
            free = tuple(lease for lease in wish.leases if lease not in _known(state, lease.service))
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
    touch_users(state, lease.service)


def refused(state: State, fact: PortsRefused, now: float) -> None:
    """Whoever waited for a port of the batch has failed, unless the port is about to be let go."""
    requests = state.asked.pop(fact.batch, ())
    if fact.batch != state.batch_open:
        return
    _close_batch(state)
    _let_go_late(state)
    if _is_about_to_be_free(state, fact):
        state.ports_wait = True
        return
    said: dict[str, str] = {}
    for refusal in fact.refusals:
        unit = state.units.get(refusal.service)
        if unit is not None and (unit.name not in said or not refusal.gpus):
            said[unit.name] = "no free GPU" if refusal.gpus else "no free port"
            span = "" if refusal.gpus else f" in {refusal.low}-{refusal.high}"
            state.note(now, unit, "ports", said[unit.name] + span)
    untouched, failed = state.is_untouched, False
    asked = [(port.service, port.name, port.beside) for port in requests]
    for unit in list(state.everyone()):
        waits = unit.wanted and unit.phase is Phase.IDLE
        if waits and any((p.service, p.name, p.beside) in asked for p in missing_ports(state, unit)):
            failed = True
            text = said.get(unit.name) or "; ".join(f"{what} for `{name}`" for name, what in said.items())
            unit.refused_at, unit.last = now, Outcome("ports", now, None, text)
            unit.identity = wanted_identity(state, unit)
            moves.enter(state, unit, Phase.FAILED, now, text)
    if untouched and failed and state.closing is None:
        moves.close(state, now, REFUSED, "the stack does not get its ports")


def _close_batch(state: State) -> None:
    state.batch_open = state.batch_deadline = None
    state.leases_changed = True  # what is still missing is asked for again
    if state.is_untouched:
        for name in list(state.units):
            state.touch(name)


def _is_about_to_be_free(state: State, fact: PortsRefused) -> bool:
    """A service that is on its way out still uses a number that was asked for."""
    leaving = [lease for unit in state.everyone() for lease in unit.old_leases]
    leaving += gpus.on_their_way(state)
    return any(gpus.concerns(refusal, lease) for lease in leaving for refusal in fact.refusals)


def sort_out(state: State) -> None:
    """Leases that no longer fit a request are let go once what uses them is gone; those that do again are kept."""
    state.leases_changed = False
    requests = _requests(state)
    for key, lease in list(state.leases.items()):
        request = requests.get(key)
        if request is None or not fits(lease, request):
            del state.leases[key]
            touch_users(state, lease.service)
            _let_go(state, lease)
    for unit in state.units.values():
        for lease in list(unit.old_leases):
            key = (lease.service, lease.name)
            request = requests.get(key)
            runs_on = unit.pending is not None and uses(unit, lease)
            if request is not None and fits(lease, request) and (runs_on or key not in state.leases):
                take(state, lease)


def _requests(state: State) -> dict[tuple[str, str], PortRequest]:
    units = state.units.values()
    return {(p.service, p.name): p for unit in units if not unit.removed for p in unit.service.leased}


def touch_users(state: State, name: str) -> None:
    """Its numbers are part of what it, and whoever refers to them, is started as."""
    state.touch(name)
    for unit in state.units.values():
        if name in unit.service.uses:
            state.touch(unit.name)


def _let_go(state: State, lease: Lease) -> None:
    unit = state.units.get(lease.service)
    if unit is None:
        state.wishes.append(ReleasePorts((lease,)))
    elif lease not in unit.old_leases:
        unit.old_leases.append(lease)
        state.touch(unit.name)
