"""The one identity rule: a process that was started as something else than is wanted now is replaced.

Hot reload, `restart`, dependents with `restart: true` and adoption are all this comparison.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from launchpad.core.model import Identity, Lease, OnChange, Phase, PortRequest
from launchpad.core.state import Role, State, Unit


def held(state: State, unit: Unit, key: tuple[str, str]) -> Lease | None:
    """The port of that name, as this unit means it: a replacement has ports of its own."""
    if unit.role is Role.NEXT and key[0] == unit.name:
        return unit.leases.get(key[1])
    return state.leases.get(key)


def wanted_identity(state: State, unit: Unit) -> Identity:
    given = (held(state, unit, key) for key in (*_own(unit), *unit.service.refs))
    leases = tuple(lease for lease in given if lease is not None)
    return Identity(unit.service.digest, unit.nonce, _bound(state, unit), leases)


def _bound(state: State, unit: Unit) -> tuple[tuple[str, int], ...]:
    return tuple(
        (need.on, state.units[need.on].attempt)
        for need in unit.service.needs
        if need.bound and need.on in state.units
    )


def _own(unit: Unit) -> tuple[tuple[str, str], ...]:
    return tuple((unit.name, port.name) for port in unit.service.leased)


def fits(lease: Lease | None, request: PortRequest) -> bool:
    if lease is None or lease.host != request.host or lease.number in request.avoid:
        return False
    need = request.gpu
    if bool(lease.gpu) != (need is not None):
        return False
    if need is not None and (need.device not in ("", lease.gpu) or lease.memory < need.memory):
        return False
    return request.low <= lease.number <= request.high


def uses(unit: Unit, lease: Lease) -> bool:
    """Its process was started with this port and may still live."""
    return unit.is_alive and unit.identity is not None and lease in unit.identity.leases


def rebind(state: State, unit: Unit) -> None:
    """What it is bound to is not part of what it was started as: changing that replaces nothing."""
    if unit.identity is None or not unit.is_alive:
        return
    was = dict(unit.identity.bound)
    bound = tuple((name, was.get(name, attempt)) for name, attempt in _bound(state, unit))
    unit.identity = replace(unit.identity, bound=bound)


def missing_ports(state: State, unit: Unit) -> list[PortRequest]:
    """Requests, its own and those of services it refers to, for which nothing is held."""
    own = [
        replace(port, beside=unit.role is Role.NEXT)
        for port in (() if unit.removed else unit.service.leased)
        if not fits(held(state, unit, (unit.name, port.name)), port)
    ]
    return own + [
        port
        for name in unit.service.uses
        if (other := state.units.get(name)) is not None and not other.removed
        for port in other.service.ports
        if not fits(state.leases.get((name, port.name)), port)
    ]


def has_ports(state: State, unit: Unit) -> bool:
    return not missing_ports(state, unit)


def stale(state: State, unit: Unit) -> bool:
    was = unit.identity
    if was is None:
        return False
    if (was.digest, was.nonce, was.bound) != (unit.service.digest, unit.nonce, _bound(state, unit)):
        return True
    others = () if unit.service.on_change is OnChange.KEEP else unit.service.refs
    return bool(was.leases and moved(state, unit, (*_own(unit), *others)))


def moved(state: State, unit: Unit, ports: tuple[tuple[str, str], ...]) -> list[str]:
    """Services among these whose numbers are no longer those that its process was told. What it was not
    told, and what it was told and its definition no longer speaks of, does not matter to it; nor what is not known
    yet: a service that has no port may get the same number again."""
    assert unit.identity is not None
    told = [lease for lease in unit.identity.leases if (lease.service, lease.name) in ports]
    away = [lease for lease in told if held(state, unit, (lease.service, lease.name)) != lease]
    return [lease.service for lease in away if not _may_come_back(state, unit, lease)]


def _may_come_back(state: State, unit: Unit, lease: Lease) -> bool:
    """Of another service, which has no port of that name now and asks for one that this would be."""
    other = state.units.get(lease.service)
    if other is None or other is unit or (lease.service, lease.name) in state.leases:
        return False
    return any(port.name == lease.name and fits(lease, port) for port in other.service.ports)


def stale_definition(unit: Unit) -> bool:
    """For what has ended: other addresses do not make a done job run again, another definition does."""
    was = unit.identity
    return was is not None and (was.digest, was.nonce) != (unit.service.digest, unit.nonce)


def doomed(state: State, unit: Unit) -> bool:
    """It lives and has to go: on its way already, not wanted, to be replaced, or bound to something that is."""
    return unit.is_alive and (_leaves(unit) or called_for(state, unit))


def called_for(state: State, unit: Unit) -> bool:
    """It has to go for a reason that is not its own failure."""
    if _is_another(state, unit):
        return True
    return any(_leaves(on) or _is_another(state, on) for on in _bound_to(state, unit))


def _leaves(unit: Unit) -> bool:
    return unit.phase in (Phase.STOPPING, Phase.KILLING) or unit.leaving is not None


def _is_another(state: State, unit: Unit) -> bool:
    return not unit.wanted or stale(state, unit)


def _bound_to(state: State, unit: Unit) -> Iterator[Unit]:
    """What lives and takes it along when it goes, also by way of others; each once."""
    around, seen = [unit], {unit.name: None}
    for near in around:
        for need in near.service.needs:
            on = state.units.get(need.on)
            if need.bound and on is not None and on.is_alive and on.name not in seen:
                seen[on.name] = None
                around.append(on)
                yield on
