"""A second process of one service: how `on_change: replace` comes about.

The one that serves is left alone until its replacement, the unit beside it, is ready; then the two swap roles. Decides
when a replacement is made, called off, given up, and when it takes over. One try for each change. Refuses to
know what a change is (`changes`) and how a process is started and ended (`moves`, as for any unit).
"""

from __future__ import annotations

from launchpad.core import moves, ports
from launchpad.core.identity import called_for, fits, rebind
from launchpad.core.model import Kind, OnChange, Phase, Service
from launchpad.core.state import Role, State, Unit

FRESH = (Phase.SPAWNING, Phase.STARTING, Phase.READY, Phase.UNREADY)
"""A replacement that is on its way up."""


def is_replaceable(unit: Unit, new: Service) -> bool:
    """It serves, or did a moment ago. What was never ready has nobody to be kept up for: it is restarted."""
    if new.on_change is not OnChange.REPLACE or unit.is_job or new.kind is not Kind.SERVER:
        return False
    leaves = unit.phase in (Phase.STOPPING, Phase.KILLING)
    return unit.is_alive and unit.ready_at is not None and not leaves


def redefine(state: State, unit: Unit, new: Service, now: float) -> None:
    """A replacement that is what the stack says takes over what can change under a running process."""
    beside = state.beside.get(unit.name)
    if beside is None or beside.role is not Role.NEXT or beside.service.digest != new.digest:
        return
    old, beside.service = beside.service, new
    if (old.ready, old.alive) != (new.ready, new.alive) and beside.is_running:
        moves.check_again(state, beside, old, now)
    rebind(state, beside)


def look_beside(state: State, unit: Unit, now: float) -> bool:
    """A rule: makes a replacement where one is due, and sees to what has become of it."""
    beside = state.beside.get(unit.name)
    if beside is None:
        return _make(state, unit, now) or _give_back(state, unit)
    if not beside.is_alive and (beside.attempt or beside.phase is Phase.FAILED):
        _is_over(state, unit, beside, now)
    elif beside.role is Role.NEXT and not _is_right(state, unit, beside):
        _call_off(state, unit, beside, now)
    elif beside.role is Role.NEXT and _takes_over(unit, beside):
        _swap(state, unit, beside, now)
    else:
        return False
    return True


def _make(state: State, unit: Unit, now: float) -> bool:
    if unit.replace_due and not unit.is_alive:
        unit.replace_due = False
    if not unit.replace_due or not unit.is_running or not unit.wanted or state.closing is not None:
        return False
    if unit.leaving is not None or called_for(state, unit):
        return False
    new = Unit(unit.pending or unit.service, Role.NEXT, goal=True, since=now, nonce=unit.nonce)
    asked = {port.name: ports.for_replacement(state, port) for port in new.service.leased}
    for name, lease in list(unit.leases.items()):
        if name in asked and fits(lease, asked[name]):
            new.leases[name] = unit.leases.pop(name)
    unit.replace_due, unit.failed = False, None
    state.beside[unit.name] = new
    state.note(now, new, "phase", "to be started beside the one that runs")
    return True


def _give_back(state: State, unit: Unit) -> bool:
    """Ports that were held for a replacement that does not come."""
    if unit.replace_due or not unit.leases:
        return False
    unit.old_leases += unit.leases.values()
    unit.leases = {}
    return True


def _is_right(state: State, unit: Unit, beside: Unit) -> bool:
    """Still what is wanted, and in time: a newer change, a stop or a restart of the service ends it."""
    wanted = unit.pending or unit.service
    if unit.replace_due or beside.service.digest != wanted.digest:
        return False
    if not beside.attempt:
        return unit.is_alive and not called_for(state, unit)
    return not called_for(state, unit) and not called_for(state, beside)


def _call_off(state: State, unit: Unit, beside: Unit, now: float) -> None:
    wanted = unit.pending or unit.service
    again = unit.wanted and unit.is_alive and beside.service.digest == wanted.digest
    unit.replace_due = unit.replace_due or again
    if not beside.attempt:
        state.note(now, beside, "phase", "no longer wanted")
        for lease in beside.leases.values():
            ports.hold_for(state, unit, lease)
        del state.beside[unit.name]
        return
    beside.old_leases += beside.leases.values()
    beside.role, beside.goal, beside.leases = Role.LEAVER, False, {}
    if beside.phase in FRESH:
        moves.stop(state, beside, now, "no longer wanted as a replacement")


def _takes_over(unit: Unit, beside: Unit) -> bool:
    """It is ready; or the one that it was to replace has ended before, and nothing else is to be started then."""
    return beside.phase is Phase.READY or (not unit.is_alive and beside.phase in FRESH)


def _swap(state: State, unit: Unit, new: Unit, now: float) -> None:
    """From here on the name means the new one: its ports are those of the service. Whoever was told the old ones
    is restarted by the one identity rule, and the old one is stopped when they are gone."""
    new.role, new.held_down, new.restarts = Role.SERVICE, unit.held_down, unit.restarts
    new.last, new.history = unit.last, unit.history
    new.changes, new.suspended = unit.changes, unit.suspended
    new.files_changed = unit.suspended and unit.files_changed
    held = (state.leases.pop((unit.name, port.name), None) for port in unit.service.leased)
    unit.old_leases += [lease for lease in held if lease is not None]
    unit.old_leases += unit.leases.values()
    for port, lease in new.leases.items():
        state.leases[unit.name, port] = state.known_ports[unit.name, port] = lease
    unit.leases, new.leases = {}, {}
    unit.role, unit.goal, unit.pending = Role.LEAVER, False, None
    unit.replace_due = unit.signal_due = False
    state.units[unit.name] = new
    if unit.is_alive:
        moves.quiet(unit)
        state.beside[unit.name] = unit
    else:
        new.old_leases, unit.old_leases = unit.old_leases, []
        del state.beside[unit.name]
    unit.timer = new.timer = None
    state.leases_changed = True
    why = "it is ready" if new.phase is Phase.READY else "the old one has ended"
    state.note(now, new, "replacement", f"takes over: {why}")
    state.touch_users(unit.name)


def _is_over(state: State, unit: Unit, beside: Unit, now: float) -> None:
    """Nothing of it lives: its ports are let go, and if it failed, the one that runs goes on."""
    unit.old_leases += [*beside.old_leases, *beside.leases.values()]
    del state.beside[unit.name]
    if beside.role is Role.NEXT and unit.is_alive:
        unit.failed = beside
        unit.files_changed = unit.files_changed or unit.pending is None
        state.note(now, unit, "replacement", "failed: the one that runs goes on as it was")
