"""Facts are folded in by a table: each changes what is known, nothing is decided here beyond the phase table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from launchpad.core import changes, environments, facts, gpus, moves, ports, probes, replacement
from launchpad.core.identity import rebind
from launchpad.core.model import Kind, Outcome, Phase, Service
from launchpad.core.state import Probes, Role, State, Unit
from launchpad.core.wishes import Signal


def fold(state: State, fact: facts.Fact, now: float) -> None:
    FOLD[type(fact)](state, fact, now)


def _current(state: State, fact: Any) -> Unit | None:
    """The unit whose current attempt the fact is about, if that attempt is not over."""
    for unit in (state.units.get(fact.service), state.beside.get(fact.service)):
        if unit is None or unit.attempt != fact.attempt or not unit.is_alive:
            continue
        state.changed[unit.key] = None
        return unit
    return None


def _plan_applied(state: State, fact: facts.PlanApplied, now: float) -> None:
    """What runs as the plan says is not asked again: only what is news to it, and what is around that."""
    state.rev = fact.plan.rev
    old = state.units
    units = state.units = {s.name: old.get(s.name) or Unit(s, since=now) for s in fact.plan.services}
    new = [s for s in fact.plan.services if not _is_no_news(state, units[s.name], s)]
    for name, unit in old.items():
        if name not in units:
            unit.removed, unit.goal = True, False
            units[name] = unit
    asked = {
        one.name: one for one in (*(units[s.name] for s in new), *(u for u in old.values() if u.removed))
    }
    before = {name: (unit.service, _around(unit)) for name, unit in asked.items() if name in old}
    for service in new:
        changes.redefine(units[service.name], service)
        units[service.name].removed = False
    state.leases_changed, state.awaited = True, ()
    state.gpus_wait = {}
    if list(old) != list(units) or any(around != _around(units[n]) for n, (_, around) in before.items()):
        state.index()
    for name, (was, _) in before.items():
        _redefined(state, units[name], was, now)
    for name, up in fact.goals:
        if name in asked or name not in units or units[name].goal != up:
            _set_goal(state, name, up, now)
    second = (unit for unit in state.beside.values() if unit.name in asked)
    state.dirty.update(dict.fromkeys(unit.key for unit in (*asked.values(), *second)))
    for name in before:
        state.touch_users(name)


def _is_no_news(state: State, unit: Unit, new: Service) -> bool:
    """It is this already, it runs, and nothing about it is open."""
    if not unit.is_running or not unit.goal or new.name in state.beside:
        return False
    if unit.service is not new and unit.service != new:
        return False
    left = unit.removed or unit.held_down or unit.replace_due or unit.leases or unit.old_leases
    return not left and unit.pending is None


def _around(unit: Unit) -> object:
    """What the indices know of it."""
    both = (unit.service, unit.pending or unit.service)
    return [need.on for need in unit.service.needs], [(one.uses, one.primary) for one in both]


def _redefined(state: State, unit: Unit, old: Service, now: float) -> None:
    refused = unit.last is not None and unit.last.kind == "ports"
    if unit.phase is Phase.FAILED and refused and not unit.removed:
        moves.reset(state, unit, now, "asks for its ports again")
    if (old.ready, old.alive) != (unit.service.ready, unit.service.alive) and unit.is_running:
        moves.check_again(state, unit, old, now)
    rebind(state, unit)
    replacement.redefine(state, unit, unit.pending or unit.service, now)


def _set_goal(state: State, name: str, up: bool, now: float) -> None:
    unit = state.units.get(name)
    if unit is None or unit.removed or (up and state.closing is not None):
        return
    if up:
        unit.held_down = False
    if up and unit.phase is Phase.FAILED:
        moves.reset(state, unit, now, "to be started again")
    elif up and not unit.goal:
        unit.deaths = []
    if unit.goal != up:
        unit.goal = up
        state.note(now, unit, "goal", "wanted up" if up else "wanted down")
    if not up and unit.phase is Phase.BACKOFF:
        moves.enter(state, unit, Phase.IDLE, now, "stopped")
    state.touch(name)


def _goals_set(state: State, fact: facts.GoalsSet, now: float) -> None:
    for name, up in fact.goals:
        _set_goal(state, name, up, now)
        if (unit := state.units.get(name)) is not None:
            unit.held_down = unit.held_down or not up
            changes.resume(unit)
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
        changes.resume(unit)
        _set_goal(state, name, True, now)
        moves.reset(state, unit, now, "restart asked")
        state.touch(name)


def _watched_changed(state: State, fact: facts.WatchedChanged, now: float) -> None:
    for name in fact.names:
        if (unit := state.units.get(name)) is not None:
            changes.watched(state, unit, now)


def _close_asked(state: State, fact: facts.CloseAsked, now: float) -> None:
    if state.closing is None:
        moves.close(state, now, fact.code, "the stack is to end")


def _kill_asked(state: State, fact: facts.KillAsked, now: float) -> None:
    for unit in state.everyone():
        if unit.phase is Phase.STOPPING or (unit.is_alive and not unit.wanted):
            moves.kill(state, unit, now, "killed: asked for")


def _adopted(state: State, fact: facts.Adopted, now: float) -> None:
    unit = state.units.get(fact.service)
    if unit is None:
        stranger = Service(fact.service, Kind.SERVER, (), "", fact.identity.digest, stop=fact.stop)
        unit = state.units[fact.service] = Unit(stranger, removed=True, since=now)
        state.index()
    beside = state.beside.get(fact.service)
    if beside is not None and beside.attempt == fact.attempt:
        unit = beside
    if unit.attempt == fact.attempt:
        if unit.phase not in (Phase.LOST, Phase.SPAWNING):
            return  # told twice, or it is over
    elif unit.is_alive or fact.attempt < unit.attempt:
        if beside is not None:
            _end_stray(state, fact)
            return
        unit = state.beside[unit.name] = Unit(unit.service, Role.LEAVER, since=now)
    own = [lease for lease in fact.identity.leases if lease.service == unit.name]
    own = [lease for lease in own if fact.lives or not lease.gpu]
    if unit.role is Role.SERVICE:
        for lease in own:
            ports.take(state, lease)
    elif unit.role is Role.LEAVER:
        unit.old_leases += [lease for lease in own if lease not in unit.old_leases]
    state.leases_changed = True
    unit.attempt, unit.identity = fact.attempt, fact.identity
    state.is_untouched = False
    unit.nonce = max(unit.nonce, fact.identity.nonce)
    unit.ready_at, unit.ready, unit.alive = None, Probes(), Probes()
    changes.came_as(unit, fact.was)
    if unit.pending is not None and unit.pending.refs != unit.service.refs:
        state.index()
    moves.spawned(state, unit, fact.handle, now, fact)
    rebind(state, unit)


def _remembered(state: State, fact: facts.Remembered, now: float) -> None:
    if (unit := state.units.get(fact.service)) is not None:
        same = fact.digest in ("", unit.service.digest)
        unit.restarts, unit.deaths = fact.restarts, [now - age for age in fact.deaths] if same else []


def _end_stray(state: State, fact: facts.Adopted | facts.Spawned) -> None:
    """A process that nobody waits for any more."""
    state.wishes.append(Signal(fact.service, fact.attempt, fact.handle, moves.SIGKILL, "tree"))


def _spawned(state: State, fact: facts.Spawned, now: float) -> None:
    unit = _current(state, fact)
    if unit is None:
        _end_stray(state, fact)
    elif unit.phase is Phase.SPAWNING:
        moves.spawned(state, unit, fact.handle, now)
    elif unit.handle is None:  # stopped before the host answered
        unit.handle = fact.handle
        if unit.phase is Phase.STOPPING:
            unit.deadline = now + unit.service.stop.grace_s
            moves.signal(state, unit, unit.service.stop.signal, "main")
        else:
            moves.kill(state, unit, now, "killed: nobody waits for it any more")


def _spawn_failed(state: State, fact: facts.SpawnFailed, now: float) -> None:
    unit = _current(state, fact)
    if unit is None or unit.handle is not None:
        return
    asked = unit.phase in (Phase.STOPPING, Phase.KILLING) and unit.leaving is None
    kind = "stopped" if asked else "spawn"
    ports.lose(state, unit, fact.lost)
    outcome = Outcome(kind, now, None, fact.text, detail=fact.detail, final=fact.final)
    moves.die(state, unit, outcome, now)


def _exited(state: State, fact: facts.Exited, now: float) -> None:
    unit = _current(state, fact)
    if unit is None:
        return
    unit.exited, lived = fact.code, now - unit.spawned_at
    if unit.phase not in (Phase.STOPPING, Phase.KILLING):
        kind = "exit" if fact.code is not None else "unknown"
        text = exit_text(fact.code, lived, fact.note)
        may_be_done = fact.code is None and unit.is_job
        unit.leaving = Outcome(kind, now, fact.code, text, lived, final=may_be_done)
        if fact.shut_out and unit.name not in state.let_go:
            state.let_go[unit.name] = None
            text += ": it does not share its port, which is let go of before it starts again"
            unit.leaving = replace(unit.leaving, kind=moves.SHUT_OUT, text=text)
        ports.lose(state, unit, fact.lost)
    elif unit.leaving is not None and unit.leaving.code is None:
        unit.leaving = replace(unit.leaving, code=fact.code, after_s=lived)
    if fact.left == 0:
        moves.gone(state, unit, now)
    elif unit.phase is not Phase.KILLING:
        moves.end_tree(state, unit, now, f"its main process ended, {fact.left} of its processes live")


def exit_text(code: int | None, lived_s: float, note: str = "") -> str:
    if code is None:
        return "ended while nobody watched, it is not known how"
    how = f"killed by {moves.signal_name(-code)}" if code < 0 else f"exit {code}"
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
    ports.leased(state, fact, now)


def _ports_refused(state: State, fact: facts.PortsRefused, now: float) -> None:
    ports.refused(state, fact, now)


def _gpus_freed(state: State, fact: facts.GpusFreed, now: float) -> None:
    gpus.freed(state)


def _host_lost(state: State, fact: facts.HostLost, now: float) -> None:
    for unit in state.everyone():
        if unit.is_alive and unit.phase is not Phase.LOST and _is_on(unit, fact.host):
            moves.quiet(unit)
            moves.enter(state, unit, Phase.LOST, now, f"host {fact.host} does not answer")


def _host_back(state: State, fact: facts.HostBack, now: float) -> None:
    gpus.freed(state)  # perhaps: it could not tell
    for unit in state.everyone():
        if unit.phase is Phase.LOST and _is_on(unit, fact.host):
            unit.deadline = now  # whatever is not adopted in this very step is gone
            state.changed[unit.key] = None


def _is_on(unit: Unit, host: str) -> bool:
    return unit.handle is None or unit.handle.host == host


FOLD: dict[type, Callable[[State, Any, float], None]] = {
    facts.PlanApplied: _plan_applied,
    facts.GoalsSet: _goals_set,
    facts.RestartAsked: _restart_asked,
    facts.WatchedChanged: _watched_changed,
    facts.CloseAsked: _close_asked,
    facts.KillAsked: _kill_asked,
    facts.Adopted: _adopted,
    facts.Remembered: _remembered,
    facts.Spawned: _spawned,
    facts.SpawnFailed: _spawn_failed,
    facts.Exited: _exited,
    facts.TreeGone: _tree_gone,
    facts.TreeHeld: _tree_held,
    facts.Probed: _probed,
    facts.Sampled: _sampled,
    facts.PortsLeased: _ports_leased,
    facts.PortsRefused: _ports_refused,
    facts.GpusFreed: _gpus_freed,
    facts.Preparing: environments.preparing,
    facts.Prepared: environments.prepared,
    facts.PrepareFailed: environments.prepare_failed,
    facts.HostLost: _host_lost,
    facts.HostBack: _host_back,
}
