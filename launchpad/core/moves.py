"""The moves between phases: what changes in a unit, and what is wished, when it goes from one to the next.

A move is made by a fact, a deadline or a rule; none of them changes a phase in any other way.
"""

from __future__ import annotations

from signal import Signals

from launchpad.core import render
from launchpad.core.facts import Adopted
from launchpad.core.identity import stale_definition, wanted_identity
from launchpad.core.model import Handle, Outcome, Phase, Service
from launchpad.core.restarts import backoff_s, is_success, wants_restart, within_budget
from launchpad.core.state import Probes, Role, Signs, State, Unit
from launchpad.core.wishes import Signal, Spawn

SPAWN_S = 30.0
"""A host that has not answered a Spawn by then has lost it."""
RESWEEP_S = 1.0
SIGKILL = 9
SIGTERM = 15
HISTORY = 10
SHUT_OUT = "shut-out"
"""The kind of an end that was launchpad's own doing: it starts at once again, and no restart is counted."""


def enter(state: State, unit: Unit, phase: Phase, now: float, text: str = "") -> None:
    if unit.phase is Phase.STARTING:
        state.starting -= 1
    if phase is Phase.STARTING:
        state.starting += 1
    unit.phase = phase
    unit.since = now
    unit.deadline = None
    if phase is not Phase.STARTING:
        unit.give_up_at = None
        unit.signs.next_at = None
    state.touch(unit.name)
    state.note(now, unit, "phase", text or phase.value)


def start(state: State, unit: Unit, now: float) -> None:
    if stale_definition(unit):
        unit.deaths = []
    unit.attempt = state.next_attempt()
    unit.identity = wanted_identity(state, unit)
    unit.handle = unit.leaving = unit.exited = unit.ready_at = None
    unit.held_by, unit.sights, unit.looked_at = "", [], now
    unit.ready, unit.alive, unit.signs = Probes(), Probes(), Signs()
    unit.spawned_at = now
    unit.signal_due = unit.files_changed = unit.replace_due = False
    unit.failed = None
    enter(state, unit, Phase.SPAWNING, now)
    unit.deadline = now + SPAWN_S
    own = {(unit.name, port): lease for port, lease in unit.leases.items()}
    leases = {**state.leases, **own} if unit.role is Role.NEXT else state.leases
    launch = render.launch(unit.service, leases, let_go=unit.name in state.let_go)
    state.wishes.append(Spawn(unit.name, unit.attempt, unit.identity, launch))


def spawned(state: State, unit: Unit, handle: Handle, now: float, adopted: Adopted | None = None) -> None:
    """It runs. `adopted`: an earlier supervisor started it; whether it is ready is looked at again."""
    unit.handle = handle
    unit.spawned_at = now - (adopted.age_s or 0.0 if adopted is not None else 0.0)
    unit.taken_over = adopted is not None
    enter(state, unit, Phase.STARTING, now, f"{'taken over' if adopted else 'started'}, pid {handle.pid}")
    _await_ready(state, unit, now)


def _await_ready(state: State, unit: Unit, now: float) -> None:
    check = unit.service.ready
    if check is None:
        become_ready(state, unit, now)
        return
    unit.ready.next_at = now
    unit.give_up_at = None if check.timeout_s is None else now + check.timeout_s
    unit.signs = Signs(lively_at=now)
    if check.stall_s is not None:
        unit.signs.next_at = now + sample_every_s(check.stall_s)


def sample_every_s(stall_s: float) -> float:
    return min(15.0, max(0.1, stall_s / 10))


def become_ready(state: State, unit: Unit, now: float) -> None:
    first = unit.ready_at is None
    unit.ready_at = now if first else unit.ready_at
    unit.ready.good = unit.ready.misses = 0
    check = unit.service.ready
    text = (
        "running"
        if check is None
        else "ready"
        if first and unit.taken_over
        else f"ready after {now - unit.spawned_at:.1f} s"
        if first
        else "ready again"
    )
    enter(state, unit, Phase.READY, now, text)
    if check is not None:
        repeats = not check.kind.is_event and check.kind.value != "file" and check.interval_s > 0
        unit.ready.next_at = now + check.interval_s if repeats else None
    if first and unit.service.alive is not None:
        unit.alive.next_at = now + unit.service.alive.interval_s


def check_again(state: State, unit: Unit, old: Service, now: float) -> None:
    """Its checks changed and its process did not: what it passed before says nothing about the new ones."""
    service = unit.service
    if service.ready != old.ready:
        unit.ready = Probes(next_at=now if service.ready is not None else None)
        unit.give_up_at = unit.signs.next_at = None
        if unit.phase is Phase.STARTING or (unit.phase is Phase.UNREADY and service.ready is None):
            _await_ready(state, unit, now)
        elif unit.phase is Phase.READY and service.ready is not None:
            enter(state, unit, Phase.UNREADY, now, "its readiness check changed")
    if service.alive != old.alive:
        first_at = None if service.alive is None else now + service.alive.interval_s
        unit.alive = Probes(next_at=first_at if unit.ready_at is not None else None)
    state.changed[unit.key] = None


def stop(state: State, unit: Unit, now: float, why: str, leaving: Outcome | None = None) -> None:
    """Ask the main process to leave; its tree is ended when the grace period is over."""
    unit.leaving = leaving
    quiet(unit)
    waiting_for_spawn = unit.handle is None
    enter(state, unit, Phase.STOPPING, now, why)
    unit.deadline = now + (SPAWN_S if waiting_for_spawn else unit.service.stop.grace_s)
    if not waiting_for_spawn:
        signal(state, unit, unit.service.stop.signal, "main")


def end_tree(state: State, unit: Unit, now: float, why: str) -> None:
    """The main process is gone and others of its tree are not: the same courtesy for them."""
    if unit.phase is not Phase.STOPPING:
        quiet(unit)
        enter(state, unit, Phase.STOPPING, now, why)
        unit.deadline = now + unit.service.stop.grace_s
    signal(state, unit, SIGTERM, "tree")


def kill(state: State, unit: Unit, now: float, why: str) -> None:
    """SIGKILL for the whole tree, again and again until nothing of it is left."""
    quiet(unit)
    if unit.phase is not Phase.KILLING:
        enter(state, unit, Phase.KILLING, now, why)
    unit.deadline = now + RESWEEP_S
    signal(state, unit, SIGKILL, "tree")


def signal(state: State, unit: Unit, number: int, scope: str) -> None:
    state.wishes.append(Signal(unit.name, unit.attempt, unit.handle, number, scope))


def signal_name(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def quiet(unit: Unit) -> None:
    """No more probes, no more samples."""
    unit.ready.next_at = unit.alive.next_at = unit.signs.next_at = None
    unit.ready.flying.clear()
    unit.alive.flying.clear()


def gone(state: State, unit: Unit, now: float) -> None:
    """Nothing of it lives any more: now its end is judged."""
    asked = Outcome("stopped", now, unit.exited, "stopped", now - unit.spawned_at)
    die(state, unit, unit.leaving or asked, now)


def die(state: State, unit: Unit, outcome: Outcome, now: float) -> None:
    quiet(unit)
    unit.last, unit.handle, unit.leaving, unit.held_by = outcome, None, None, ""
    unit.history = [*unit.history[-HISTORY:], outcome]
    if unit.role is Role.NEXT:
        enter(state, unit, Phase.FAILED, now, outcome.text)  # one try: `replacement` sees to what follows
    elif not unit.wanted or outcome.kind in ("stopped", SHUT_OUT):
        enter(state, unit, Phase.IDLE, now, outcome.text)
    elif is_success(unit, outcome) and not wants_restart(unit, outcome):
        if stale_definition(unit):  # what ended was another service, perhaps not even a job
            enter(state, unit, Phase.IDLE, now, outcome.text)
        else:
            enter(state, unit, Phase.DONE, now, f"done after {outcome.after_s:.1f} s")
    else:
        _restart_or_fail(state, unit, outcome, now)


def _restart_or_fail(state: State, unit: Unit, outcome: Outcome, now: float) -> None:
    unit.deaths.append(now)
    if not wants_restart(unit, outcome) or not within_budget(unit, now):
        enter(state, unit, Phase.FAILED, now, outcome.text)
        return
    restart = unit.service.restart
    wait = backoff_s(restart, unit.name, len(unit.deaths), unit.attempt)
    enter(state, unit, Phase.BACKOFF, now, f"{outcome.text}; starts again in {wait:.1f} s")
    unit.deadline = now + wait


def reset(state: State, unit: Unit, now: float, why: str) -> None:
    """Forget how it ended: what is wanted now deserves a fresh start."""
    unit.deaths = []
    if unit.phase in (Phase.DONE, Phase.FAILED, Phase.BACKOFF):
        enter(state, unit, Phase.IDLE, now, why)


def close(state: State, now: float, code: int, why: str) -> None:
    """Everything down; the stack is finished with this code once nothing is alive."""
    state.closing = code
    for unit in state.units.values():
        if unit.goal:
            unit.goal = False
            state.note(now, unit, "goal", f"wanted down: {why}")
        if unit.phase is Phase.BACKOFF:
            enter(state, unit, Phase.IDLE, now, "stopped")
        state.touch(unit.name)
