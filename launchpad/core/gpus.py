"""GPUs, where they are not like ports: given on when a service rests, and waited for where the stack says so.

Everything else about them is as with ports: the same requests, leases, batches. Refuses to know which GPUs there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from launchpad.core.facts import PortsLeased, Refusal
from launchpad.core.model import Hold, Kind, Lease, Phase, PortRequest, Service
from launchpad.core.state import Role, State, Unit
from launchpad.core.wishes import ReleasePorts


def rests(unit: Unit) -> bool:
    """It does not run, and will not before somebody asks for it, or changes it."""
    over = unit.phase in (Phase.DONE, Phase.FAILED)
    return over or (unit.phase is Phase.IDLE and not unit.wanted)


def give_on(state: State, unit: Unit, now: float) -> bool:
    """A rule: what rests keeps its ports, so that its address stays, but no GPU. The number is asked for again."""
    if not rests(unit):
        return False
    held = (state.leases.pop((unit.name, port.name), None) for port in unit.service.gpus)
    free = [lease for lease in held if lease is not None]
    let_go(state, free)
    return bool(free)


def let_go(state: State, leases: Sequence[Lease]) -> None:
    """Of ports and GPUs. A host tells who waits of what others let go; of this the core knows itself."""
    if leases:
        state.wishes.append(ReleasePorts(tuple(leases)))
        _make_old(state)
    if state.open is not None:
        gone = [(lease.service, lease.name) for lease in leases]
        state.open.is_void |= any((one.service, one.name) in gone for one in state.open.requests)
    if any(lease.gpu for lease in leases):
        freed(state)


def _make_old(state: State) -> None:
    if state.open is not None:
        state.open.is_old = True


def freed(state: State) -> None:
    """Whoever waits for a GPU asks again; also who learns that it waits from an answer that is older than this."""
    _make_old(state)
    waiting, state.gpus_wait = state.gpus_wait, {}
    for name, _ in waiting:
        state.touch(name)


def waits(state: State, request: PortRequest) -> bool:
    """It was asked for, is not to be had now, and is waited for."""
    can = request.gpu is not None and request.gpu.wait
    return can and (request.service, request.beside) in state.gpus_wait


def wait(state: State, fact: PortsLeased, now: float) -> None:
    """Keep, for people, what each that waits is waiting for."""
    for one in fact.waiting:
        unit = state.beside.get(one.service) if one.beside else state.units.get(one.service)
        if unit is None:
            continue
        if (one.service, one.beside) not in state.gpus_wait:
            state.note(now, unit, "hold", wording(one))
        state.gpus_wait[one.service, one.beside] = one
        state.touch(one.service)


def hold(state: State, unit: Unit) -> Hold | None:
    """Why it waits for GPUs, if it does."""
    refusal = state.gpus_wait.get((unit.name, unit.role is Role.NEXT))
    return None if refusal is None else Hold("gpus", unit.name, wording(refusal))


def wording(refusal: Refusal) -> str:
    return f"waits for {refusal.what}: {'; '.join(refusal.notes)}"


def may_come(refusal: Refusal, services: Mapping[str, Service]) -> bool:
    """Whether it is worth waiting: `services` of this stack that never end do not have too many of them."""
    if refusal.never or refusal.unknown:
        return False
    known = (services.get(name) for name in refusal.holders)
    kept = [one for one in known if one is not None and one.kind is Kind.SERVER]
    return len(refusal.holders) - len(kept) >= refusal.gpus


def concerns(refusal: Refusal, lease: Lease) -> bool:
    """What was refused would have to be this very thing, or might be."""
    return bool(lease.gpu) == bool(refusal.gpus) and refusal.low <= lease.number <= refusal.high


def on_their_way(state: State) -> Iterable[Lease]:
    """Those that are given on as soon as what uses them is gone."""
    for lease in state.leases.values():
        unit = state.units.get(lease.service)
        if lease.gpu and unit is not None and unit.is_alive and not unit.wanted:
            yield lease
