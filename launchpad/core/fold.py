"""Facts are folded in by a table: each changes what is known, nothing is decided here beyond the phase table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launchpad.core import facts, moves, probes
from launchpad.core.identity import fits
from launchpad.core.model import Kind, Outcome, Phase, Service
from launchpad.core.state import State, Unit
from launchpad.core.wishes import Signal


def fold(state: State, fact: facts.Fact, now: float) -> None:
    FOLD[type(fact)](state, fact, now)


def _current(state: State, fact: Any) -> Unit | None:
    """The unit, if the fact is about its current attempt and that attempt is not over."""
    unit = state.units.get(fact.service)
    if unit is None or unit.attempt != fact.attempt or not unit.is_alive:
        return None
    state.changed[unit.name] = None
    return unit


def _plan_applied(state: State, fact: facts.PlanApplied, now: float) -> None:
    state.rev = fact.plan.rev
    old = state.units
    state.units = {s.name: old.get(s.name) or Unit(s, since=now) for s in fact.plan.services}
    for service in fact.plan.services:
        unit = state.units[service.name]
        unit.service, unit.removed = service, False
    for name, unit in old.items():
        if name not in state.units:
            unit.removed, unit.goal = True, False
            state.units[name] = unit
    _drop_unfit_leases(state)
    state.rebuild_dependents()
    for name, up in fact.goals:
        _set_goal(state, name, up, now)
    state.dirty.update(dict.fromkeys(state.units))


def _drop_unfit_leases(state: State) -> None:
    """A lease that no longer fits its request is let go, once what uses it is gone."""
    wanted = {(p.service, p.name): p for u in state.units.values() if not u.removed for p in u.service.ports}
    for key, lease in list(state.leases.items()):
        request = wanted.get(key)
        if request is None or not fits(lease, request):
            del state.leases[key]
            if (unit := state.units.get(key[0])) is not None:
                unit.old_leases.append(lease)


def _set_goal(state: State, name: str, up: bool, now: float) -> None:
    unit = state.units.get(name)
    if unit is None or unit.removed:
        return
    if up and (not unit.goal or unit.phase is Phase.FAILED):
        unit.refused_at = None
        if unit.phase is Phase.FAILED:
            moves.reset(state, unit, now, "to be started again")
    if unit.goal != up:
        unit.goal = up
        state.note(now, unit, "goal", "wanted up" if up else "wanted down")
    if not up and unit.phase is Phase.BACKOFF:
        moves.enter(state, unit, Phase.IDLE, now, "stopped")
    state.touch(name)


def _goals_set(state: State, fact: facts.GoalsSet, now: float) -> None:
    for name, up in fact.goals:
        _set_goal(state, name, up, now)
        if name in state.units:
            state.units[name].held_down = not up
    for name in fact.rerun:
        unit = state.units.get(name)
        if unit is not None and unit.phase is Phase.DONE:
            unit.nonce += 1
            state.touch(name)


def _restart_asked(state: State, fact: facts.RestartAsked, now: float) -> None:
    for name in fact.names:
        unit = state.units.get(name)
        if unit is None or unit.removed:
            continue
        unit.nonce += 1
        _set_goal(state, name, True, now)
        moves.reset(state, unit, now, "restart asked")
        state.touch(name)


def _close_asked(state: State, fact: facts.CloseAsked, now: float) -> None:
    if state.closing is None:
        moves.close(state, now, fact.code, "the stack is to end")


def _kill_asked(state: State, fact: facts.KillAsked, now: float) -> None:
    for unit in state.units.values():
        if unit.phase is Phase.STOPPING or (unit.is_alive and not unit.wanted):
            moves.kill(state, unit, now)


def _adopted(state: State, fact: facts.Adopted, now: float) -> None:
    unit = state.units.get(fact.service)
    if unit is None:
        stranger = Service(fact.service, Kind.SERVER, (), "", fact.identity.digest)
        unit = state.units[fact.service] = Unit(stranger, removed=True, since=now)
        state.rebuild_dependents()
    if unit.is_alive and unit.attempt != fact.attempt:
        return
    unit.attempt, unit.identity, unit.nonce = fact.attempt, fact.identity, fact.identity.nonce
    moves.spawned(state, unit, fact.handle, now)


def _spawned(state: State, fact: facts.Spawned, now: float) -> None:
    unit = _current(state, fact)
    if unit is None:
        state.wishes.append(Signal(fact.service, fact.attempt, fact.handle, moves.SIGKILL, "tree"))
    elif unit.phase is Phase.SPAWNING:
        moves.spawned(state, unit, fact.handle, now)
    elif unit.handle is None:  # stopped before the host answered
        unit.handle = fact.handle
        if unit.phase is Phase.STOPPING:
            unit.deadline = now + unit.service.stop.grace_s
            moves.signal(state, unit, unit.service.stop.signal, "main")
        else:
            moves.kill(state, unit, now)


def _spawn_failed(state: State, fact: facts.SpawnFailed, now: float) -> None:
    unit = _current(state, fact)
    if unit is None or unit.handle is not None:
        return
    unit.final = fact.final
    asked = unit.phase is Phase.STOPPING and unit.leaving is None
    kind = "stopped" if asked else "spawn"
    moves.die(state, unit, Outcome(kind, now, None, fact.text), now)


def _exited(state: State, fact: facts.Exited, now: float) -> None:
    unit = _current(state, fact)
    if unit is None:
        return
    unit.exited = fact.code
    if unit.phase not in (Phase.STOPPING, Phase.KILLING):
        lived = now - unit.spawned_at
        unit.leaving = Outcome("exit", now, fact.code, exit_text(fact.code, lived, fact.note), lived)
    elif unit.leaving is not None and unit.leaving.code is None:
        lived = now - unit.spawned_at
        unit.leaving = Outcome(unit.leaving.kind, unit.leaving.at, fact.code, unit.leaving.text, lived)
    if fact.left == 0:
        moves.gone(state, unit, now)
    elif unit.phase is not Phase.KILLING:
        moves.end_tree(state, unit, now, f"its main process ended, {fact.left} of its processes live")


def exit_text(code: int, lived_s: float, note: str = "") -> str:
    how = f"killed by signal {-code}" if code < 0 else f"exit {code}"
    return f"{how} after {lived_s:.1f} s" + (f"; {note}" if note else "")


def _tree_gone(state: State, fact: facts.TreeGone, now: float) -> None:
    unit = _current(state, fact)
    if unit is not None and unit.phase in (Phase.STOPPING, Phase.KILLING):
        moves.gone(state, unit, now)


def _tree_held(state: State, fact: facts.TreeHeld, now: float) -> None:
    unit = _current(state, fact)
    if unit is not None and unit.held_by != fact.text:
        unit.held_by = fact.text
        state.note(now, unit, "hold", f"still alive: {fact.text}")


def _probed(state: State, fact: facts.Probed, now: float) -> None:
    unit = _current(state, fact)
    if unit is not None:
        probes.answered(state, unit, fact, now)


def _sampled(state: State, fact: facts.Sampled, now: float) -> None:
    unit = _current(state, fact)
    if unit is not None and unit.phase is Phase.STARTING:
        probes.sampled(unit, fact, now)


def _ports_leased(state: State, fact: facts.PortsLeased, now: float) -> None:
    if fact.batch == state.batch_open:
        state.batch_open = None
    for lease in fact.leases:
        key = (lease.service, lease.name)
        old = state.leases.get(key)
        if old is not None and old != lease and (unit := state.units.get(lease.service)) is not None:
            unit.old_leases.append(old)
        state.leases[key] = state.known_ports[key] = lease
        state.touch(lease.service)
    for unit in state.units.values():
        if unit.service.uses:
            state.touch(unit.name)


def _ports_refused(state: State, fact: facts.PortsRefused, now: float) -> None:
    if fact.batch != state.batch_open:
        return
    state.batch_open = None
    for refusal in fact.refusals:
        unit = state.units.get(refusal.service)
        if unit is not None:
            state.note(now, unit, "ports", f"no free port in {refusal.low}-{refusal.high}")
    for unit in state.units.values():
        if unit.wanted and unit.phase is Phase.IDLE and not _has_all(state, unit):
            unit.refused_at = now
            text = (
                "no free port" if any(r.service == unit.name for r in fact.refusals) else "ports were refused"
            )
            unit.last = Outcome("ports", now, None, text)
            moves.enter(state, unit, Phase.FAILED, now, text)


def _has_all(state: State, unit: Unit) -> bool:
    return all((unit.name, port.name) in state.leases for port in unit.service.ports)


def _host_lost(state: State, fact: facts.HostLost, now: float) -> None:
    for unit in state.units.values():
        if unit.is_alive and (unit.handle is None or unit.handle.host == fact.host):
            moves.quiet(unit)
            moves.enter(state, unit, Phase.LOST, now, f"host {fact.host} does not answer")


def _host_back(state: State, fact: facts.HostBack, now: float) -> None:
    for unit in state.units.values():
        if unit.phase is Phase.LOST:
            outcome = Outcome(
                "lost", now, None, f"gone when host {fact.host} came back", now - unit.spawned_at
            )
            moves.die(state, unit, outcome, now)


FOLD: dict[type, Callable[[State, Any, float], None]] = {
    facts.PlanApplied: _plan_applied,
    facts.GoalsSet: _goals_set,
    facts.RestartAsked: _restart_asked,
    facts.CloseAsked: _close_asked,
    facts.KillAsked: _kill_asked,
    facts.Adopted: _adopted,
    facts.Spawned: _spawned,
    facts.SpawnFailed: _spawn_failed,
    facts.Exited: _exited,
    facts.TreeGone: _tree_gone,
    facts.TreeHeld: _tree_held,
    facts.Probed: _probed,
    facts.Sampled: _sampled,
    facts.PortsLeased: _ports_leased,
    facts.PortsRefused: _ports_refused,
    facts.HostLost: _host_lost,
    facts.HostBack: _host_back,
}
