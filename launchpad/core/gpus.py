"""GPUs, where they are not like ports: given on when a service rests, and waited for where the stack says so.

Everything else about them is as with ports: the same requests, leases, batches. Refuses to know which GPUs there are.
"""

from __future__ import annotations

from collections.abc import Iterable

from launchpad.core.facts import PortsLeased, Refusal
from launchpad.core.model import Hold, Lease, Phase, PortRequest, Service
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
    free = [lease for lease in state.leases.values() if lease.service == unit.name and lease.gpu]
    for lease in free:
        del state.leases[lease.service, lease.name]
    if free:
        state.wishes.append(ReleasePorts(tuple(free)))
        freed(state)
    return bool(free)


def freed(state: State) -> None:
    """Whoever waits for a GPU asks again."""
    state.ports_wait = False
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


def concerns(refusal: Refusal, lease: Lease) -> bool:
    """What was refused would have to be this very thing, or might be."""
    return bool(lease.gpu) == bool(refusal.gpus) and refusal.low <= lease.number <= refusal.high


def on_their_way(state: State) -> Iterable[Lease]:
    """Those that are given on as soon as what uses them is gone."""
    for lease in state.leases.values():
        unit = state.units.get(lease.service)
        if lease.gpu and unit is not None and unit.is_alive and not unit.wanted:
            yield lease


def needed_first(unit: Unit | None, new: Service) -> tuple[PortRequest, ...]:
    """What has to be free before a service may become `new`, if it is wanted: all but GPUs that can wait, or that it does
    not need because its work is done."""
    done = unit is not None and unit.phase is Phase.DONE
    if done and unit is not None and unit.identity is not None and unit.identity.digest == new.digest:
        return new.ports
    return tuple(one for one in new.leased if one.gpu is None or not one.gpu.wait)
