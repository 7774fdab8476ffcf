"""What must hold after every step, whatever the world does; and what must hold when it comes to rest.

Written against the truth of the simulated host and the core's public picture, without the core's own
helpers for identity, holds and restarts: those are what is being checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from launchpad.core import facts as f
from launchpad.core import wishes as w
from launchpad.core.facts import Fact
from launchpad.core.model import CheckKind, Condition, Identity, Kind, Need, OnChange, Phase, Service
from launchpad.core.state import Role, Unit
from launchpad.core.wishes import Wish
from tests.sim.broken import Broken
from tests.sim.seconds import Seconds

if TYPE_CHECKING:
    from tests.sim.world import World

QUIET = (f.Probed, f.Sampled, w.Probe, w.Sample)
"""A step with nothing else changes nothing that is checked, but for deadlines."""
EPS = 1e-6
SPAWN_S = 30.0
RESWEEP_S = 1.0
SIGKILL = 9
HANGUP = 1
"""What `on_change: signal` sends in these worlds."""

ONCE = (CheckKind.LOG, CheckKind.NOTIFY, CheckKind.FILE)
"""Kinds of checks that are not looked at again once they were passed."""
RUNNING = (Phase.STARTING, Phase.READY, Phase.UNREADY)
ENDED = (Phase.IDLE, Phase.BACKOFF, Phase.DONE, Phase.FAILED)
ENDS = {"idle", "backoff", "done", "failed"}
MOVES = {
    "idle": {"spawning", "starting", "failed"},
    "spawning": {"starting", "stopping", "killing", "lost"} | ENDS,
    "starting": {"ready", "stopping", "killing", "lost"} | ENDS,
    "ready": {"unready", "stopping", "killing", "lost"} | ENDS,
    "unready": {"ready", "stopping", "killing", "lost"} | ENDS,
    "stopping": {"killing", "lost"} | ENDS,
    "killing": {"lost"} | ENDS,
    "backoff": {"idle"},
    "done": {"idle"},
    "failed": {"idle"},
    "lost": {"starting", "stopping", "killing"} | ENDS,
}

__all__ = ["Broken", "Checks"]


def alive(unit: Unit) -> bool:
    return unit.phase not in ENDED


def wanted(unit: Unit) -> bool:
    return unit.goal and not unit.removed


class Checks:
    """Keeps what it needs to remember from step to step. `after` raises `Broken`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.attempts: dict[int, Identity] = {}
        self.kinds: dict[int, Kind] = {}
        self.new_engine()

    def new_engine(self) -> None:
        """What an earlier supervisor knew is forgotten; attempts are not."""
        self.phase: dict[str, str] = {}
        self.entered: dict[str, float] = {}
        self.deaths: dict[str, list[float]] = {}
        self.definition: dict[str, tuple[str, int]] = {}
        self.initial_s: dict[str, float] = {}
        self.grace_s: dict[str, float] = {}
        self.fresh: list[str] = []
        self.plan: dict[str, Service] = {}
        self.news: dict[str, int] = {}
        self.mine: dict[int, None] = {}
        """Attempts that this supervisor has started."""
        self.going: dict[str, None] = {}
        """What had to go when it was still to be restarted, or was out of the stack."""
        self.goals: dict[str, bool] = {}
        self.killed = False
        self.closing: int | None = None
        self.asked: list[tuple[float, int]] = []
        self.requests: dict[int, str] = {}
        """Environments that were asked for, by the number of the request."""
        self.prepared: dict[str, None] = {}
        self.seconds = Seconds(self)

    def after(self, now: float, facts: Sequence[Fact], wishes: Sequence[Wish]) -> None:
        self.now, self.facts = now, facts
        self._environments(facts, wishes)
        if all(isinstance(x, QUIET) for x in (*facts, *wishes)):
            self._deadlines()
            return
        state = self.world.engine.state
        self.killed = self.killed or any(isinstance(fact, f.KillAsked) for fact in facts)
        self.just_closed = state.closing is not None and self.closing is None
        self.closing = state.closing
        self.fresh = [wish.service for wish in wishes if isinstance(wish, w.Spawn)]
        self._read_plans()
        self._fresh_definitions()
        self.seconds.read_facts(facts)
        for wish in wishes:
            if isinstance(wish, w.Note) and wish.what == "phase":
                self._moved(wish)
            elif isinstance(wish, w.Note) and wish.what in ("replacement", "leaving"):
                self.seconds.moved(wish)
            elif isinstance(wish, w.Spawn):
                self._spawn(wish)
            elif isinstance(wish, w.Signal):
                self._signal(wish)
            elif isinstance(wish, w.LeasePorts):
                self._asked_for_ports(wish)
            elif isinstance(wish, w.Forget):
                self._forget(wish)
        for unit in self.world.engine.units.values():
            self._unit(unit)
            if not wanted(unit):
                self.going[unit.name] = None
        self.seconds.after()
        self._deadlines()
        if state.starting != sum(unit.phase is Phase.STARTING for unit in state.everyone()):
            raise Broken(f"it is believed that {state.starting} are starting")
        self.nothing_is_forgotten()
        self._leases(wishes)
        if self.closing is not None and self.world.engine.verdict().phase == "finished":
            left = [p.service for p in self.world.host.processes.values() if p.lives]
            if left:
                raise Broken(f"the stack is finished while {left} live")

    def nothing_is_forgotten(self) -> None:
        """The rules were asked about all that moved: asked about everything, they find nothing more to do."""
        engine = self.world.engine
        state, leases = engine.state, dict(engine.state.leases)
        state.dirty.update(dict.fromkeys(unit.key for unit in state.everyone()))
        state.leases_changed = True
        if (extra := engine.step(self.now)) or leases != state.leases:
            raise Broken(f"a step has forgotten {extra or 'leases'}")

    def _environments(self, facts: Sequence[Fact], wishes: Sequence[Wish]) -> None:
        """Which were told to be there since they were asked for; each is asked for once at a time."""
        for fact in facts:
            if isinstance(fact, f.Prepared) and fact.request in self.requests:
                self.prepared[self.requests[fact.request]] = None
            elif isinstance(fact, f.PrepareFailed):
                self.requests.pop(fact.request, None)
        for wish in wishes:
            if isinstance(wish, w.Abandon):
                self.requests.pop(wish.request, None)
            elif isinstance(wish, w.Prepare):
                folder = wish.environment.folder
                known = [at for at, other in self.requests.items() if other == folder]
                if folder not in self.prepared and known not in ([], [wish.request]):
                    raise Broken(f"{folder} is asked for twice at once")
                self.prepared.pop(folder, None)
                self.requests = {at: other for at, other in self.requests.items() if other != folder}
                self.requests[wish.request] = folder

    # --- each step -----------------------------------------------------------------------------------

    def _read_plans(self) -> None:
        """What the stack is to be, from the facts alone; and of what a service could be told."""
        for fact in self.facts:
            if isinstance(fact, f.PlanApplied):
                leaves = [name for name, phase in self.phase.items() if phase in ("stopping", "killing")]
                self.going.update(dict.fromkeys(leaves))
                new = {service.name: service for service in fact.plan.services}
                for name, unit in self.world.engine.units.items():
                    served = self.seconds.served.get(name, False)
                    if name not in new or new[name].on_change is OnChange.RESTART:
                        self.going[name] = None
                    elif new[name].on_change is OnChange.REPLACE:
                        jobs = Kind.JOB in (new[name].kind, self.kinds.get(unit.attempt))
                        self.going.update({name: None} if jobs or not served else {})
                for name, service in new.items():
                    if name in self.plan and self.plan[name].digest != service.digest:
                        self.news[name] = 1
                self.plan = new
            elif isinstance(fact, f.Adopted) and fact.service in self.plan:
                if self.plan[fact.service].digest != fact.identity.digest:
                    self.news[fact.service] = 1  # changed while nobody watched
            elif isinstance(fact, f.WatchedChanged):
                self.news.update(dict.fromkeys(fact.names, 1))

    def _fresh_definitions(self) -> None:
        """Deaths of another definition, or of before somebody asked for a start, do not count."""
        for name, unit in self.world.engine.units.items():
            definition = (unit.service.digest, unit.nonce)
            if self.definition.get(name, definition) != definition:
                self.deaths.pop(name, None)
            self.definition[name] = definition
        for fact in self.facts:
            if isinstance(fact, f.Remembered):
                definition = self.definition.get(fact.service, ("", 0))
                same = definition[0] == fact.digest
                self.deaths[fact.service] = [self.now - age for age in fact.deaths] if same else []
            goals = fact.goals if isinstance(fact, f.PlanApplied | f.GoalsSet) else ()
            for name, up in goals:
                if up and (self.phase.get(name) == "failed" or not self.goals.get(name)):
                    self.deaths.pop(name, None)
            if isinstance(fact, f.PlanApplied):
                self.entered.update((n, self.now) for n, phase in self.phase.items() if phase == "starting")
                for name in [n for n, phase in self.phase.items() if phase == "failed"]:
                    self.deaths.pop(name, None)

        self.goals = {unit.name: unit.goal for unit in self.world.engine.units.values()}

    def _moved(self, note: w.Note) -> None:
        before, after, name = self.phase.get(note.service, "idle"), note.phase, note.service
        if after not in MOVES[before]:
            raise Broken(f"{name} went from {before} to {after}")
        unit = self.seconds.unit(name, note.attempt) or self.world.engine.units.get(name)
        if after in ENDS and before not in ENDS:
            self._ended(name, note)
        if after in ("backoff", "failed") and before not in ENDS and unit is not None:
            self._died(unit, note.attempt, after)
        if after == "done":
            self._done(name, note.attempt)
        if after == "killing" and before == "stopping" and unit is not None:
            self._grace_is_over(unit)
        if before == "backoff" and unit is not None and wanted(unit):
            self._waited(unit, note.attempt)
        if after == "stopping" and unit is not None:
            self.grace_s[name] = unit.service.stop.grace_s
            self._may_be_stopped(unit)
            self._order(unit)
        self.phase[name], self.entered[name] = after, self.now

    def _ended(self, name: str, note: w.Note) -> None:
        left = [p for p in self.world.host.living(name) if p.attempt == note.attempt]
        if left:
            raise Broken(f"{name} is {note.phase} while {[p.attempt for p in left]} live")

    def _died(self, unit: Unit, attempt: int, after: str) -> None:
        if not self._is_what_is_wanted(unit, attempt):
            return
        p = self.world.host.processes.get(attempt)
        restart = unit.service.restart
        deaths = self.deaths.setdefault(unit.name, [])
        deaths.append(self.now)
        recent = deaths[:] = [at for at in deaths if self.now - at <= restart.window_s]
        unknown = p is not None and not p.main and p.handle is not None and p.code is None
        if after == "backoff":
            if unknown and unit.is_job:
                raise Broken(f"{unit.name} is run again although it may have done its work")
            if restart.policy == "never":
                raise Broken(f"{unit.name} is restarted against its policy")
            self.initial_s[unit.name] = restart.initial_s
            if len(recent) > restart.max_restarts:
                raise Broken(f"{unit.name} is restarted {len(recent)} times, {restart.max_restarts} allowed")
        elif restart.policy != "never" and len(recent) <= restart.max_restarts:
            final = p is not None and (p.behaviour.hopeless or p.behaviour.fails_finally or unknown)
            if not final:
                raise Broken(
                    f"{unit.name} is given up after {len(recent)} deaths, {restart.max_restarts + 1} make it"
                )

    def _is_what_is_wanted(self, unit: Unit, attempt: int) -> bool:
        was = self.attempts.get(attempt)
        return was is None or (was.digest, was.nonce) == (unit.service.digest, unit.nonce)

    def _done(self, name: str, attempt: int) -> None:
        p = self.world.host.processes.get(attempt)
        if self.kinds[attempt] is not Kind.JOB or p is None or p.code != 0 or p.lives:
            raise Broken(f"{name} is done, but it is not a job that ended with 0")

    def _grace_is_over(self, unit: Unit) -> None:
        since = self.entered.get(unit.name, self.now)
        grace_s = min(self.grace_s[unit.name], unit.service.stop.grace_s)
        if not self.killed and unit.handle is not None and self.now - since < grace_s - EPS:
            raise Broken(f"{unit.name} is killed before its grace period is over")

    def _waited(self, unit: Unit, attempt: int) -> None:
        """A restart comes after the backoff, unless somebody asked or the definition changed."""
        if not self._is_what_is_wanted(unit, attempt):
            return
        asked = any(
            isinstance(x, f.PlanApplied | f.GoalsSet | f.RestartAsked | f.CloseAsked) for x in self.facts
        )
        if not asked and self.now - self.entered[unit.name] < self.initial_s[unit.name] - EPS:
            raise Broken(f"{unit.name} is restarted without backoff")

    def _order(self, unit: Unit) -> None:
        """Nobody is asked to stop before those that depend on it and have to go as well are gone."""
        by_itself = unit.leaving is not None or unit.exited is not None
        if by_itself or self.just_closed or unit.phase is not Phase.STOPPING:
            return
        for other in self.world.engine.units.values():
            depends = any(need.on == unit.name for need in other.service.needs)
            if depends and not self._only_now(other) and alive(other) and self._has_to_go(other):
                raise Broken(f"{unit.name} is stopped before {other.name}, which depends on it")

    def _only_now(self, unit: Unit) -> bool:
        """It is bound, perhaps by way of others, to something that was started in this very step."""
        units = self.world.engine.units
        bound = [need.on for need in unit.service.needs if need.bound and need.on in units]
        return any(on in self.fresh or self._only_now(units[on]) for on in bound)

    def _may_be_stopped(self, unit: Unit) -> None:
        """A change alone does not stop what is to run on."""
        was, now = unit.identity, self.plan.get(unit.name)
        if now is None or now.on_change is OnChange.RESTART or not wanted(unit) or was is None:
            return
        units = self.world.engine.units
        bound = [units[need.on] for need in unit.service.needs if need.bound and need.on in units]
        by_others = was.bound != tuple((on.name, on.attempt) for on in bound)
        by_others = by_others or any(alive(on) and self._has_to_go(on) for on in bound)
        if unit.leaving is not None or unit.exited is not None or unit.nonce != was.nonce or by_others:
            return
        if unit.attempt not in self.mine or unit.name in self.going:
            return
        moves_along = now.on_change in (OnChange.SIGNAL, OnChange.REPLACE)
        if moves_along and self._has_another_address(unit, was):
            return
        raise Broken(f"{unit.name} is stopped although it is to run on over a change")

    def _spawn(self, wish: w.Spawn) -> None:
        unit = self.seconds.unit(wish.service, wish.attempt) or self.world.engine.units[wish.service]
        if wish.attempt in self.attempts:
            raise Broken(f"attempt {wish.attempt} of {wish.service} was used before")
        self.attempts[wish.attempt], self.kinds[wish.attempt] = wish.identity, unit.service.kind
        self.mine[wish.attempt] = None
        if unit.role is Role.SERVICE:
            self.going.pop(wish.service, None)
        if (now := self.plan.get(wish.service)) is not None and wish.identity.digest != now.digest:
            raise Broken(f"{wish.service} is started with another definition than the stack has")
        if not unit.goal or unit.removed:
            raise Broken(f"{wish.service} is started although nobody wants it")
        if self.world.engine.state.closing is not None:
            raise Broken(f"{wish.service} is started although the stack is to end")
        self.seconds.may_be_started(unit, wish)
        for need in unit.service.needs:
            if not self._met(need):
                raise Broken(f"{wish.service} is started before {need.on} is {need.condition.value}")
        held = self.world.host.leases
        for lease in (*wish.identity.leases, *wish.launch.ports, *wish.launch.gpus):
            if lease not in held:
                raise Broken(f"{wish.service} is started with port {lease.number}, which is not held")
        wanted_first = unit.service.prepare
        if wanted_first is not None and wanted_first.folder not in self.prepared:
            raise Broken(f"{wish.service} is started before its environment is there")
        if len(wish.launch.ports) != len(unit.service.ports):
            raise Broken(f"{wish.service} is started without its ports")
        if len(wish.launch.gpus) != len(unit.service.gpus):
            raise Broken(f"{wish.service} is started without its GPUs")

    def _met(self, need: Need) -> bool:
        on = self.world.engine.units.get(need.on)
        if on is None:
            return False
        if on.since == self.now and alive(on):
            return True  # it may have changed later in this step
        if on.phase is Phase.DONE:
            return self._ended_as_wanted(on)
        if need.condition is Condition.STARTED:
            return on.phase in RUNNING
        return need.condition is Condition.READY and on.phase is Phase.READY

    def _ended_as_wanted(self, unit: Unit) -> bool:
        was = unit.identity
        return was is not None and (was.digest, was.nonce) == (unit.service.digest, unit.nonce)

    def _signal(self, wish: w.Signal) -> None:
        unit = self.seconds.unit(wish.service, wish.attempt)
        if unit is None:
            return
        if wish.signal == HANGUP:
            self._told(unit)
        elif unit.phase in RUNNING or unit.phase is Phase.SPAWNING:
            raise Broken(f"{wish.service} is sent {wish.signal} while it is {unit.phase.value}")

    def _told(self, unit: Unit) -> None:
        """At most once for each change, and only when it is there to hear it."""
        if unit.service.on_change is not OnChange.SIGNAL or not self.news.pop(unit.name, 0):
            raise Broken(f"{unit.name} is sent a signal although nothing changed")
        if unit.handle is None or unit.ready_at is None:
            raise Broken(f"{unit.name} is sent a signal before it is ready")

    def _asked_for_ports(self, wish: w.LeasePorts) -> None:
        self.asked = [x for x in self.asked if x[0] > self.now - 1.0] + [(self.now, wish.batch)]
        if len(self.asked) > 20:
            raise Broken("ports are asked for again and again")

    def _forget(self, wish: w.Forget) -> None:
        if self.world.host.living(wish.service):
            raise Broken(f"{wish.service} is forgotten while it lives")
        for table in (self.phase, self.entered, self.deaths, self.definition):
            table.pop(wish.service, None)

    def _unit(self, unit: Unit) -> None:
        name, phase = unit.name, unit.phase
        if self.phase.setdefault(name, phase.value) != phase.value:
            raise Broken(f"{name} became {phase.value} without a word")
        if phase is Phase.READY:
            self._ready(unit)
        if phase in (Phase.DONE, Phase.FAILED, Phase.BACKOFF) and wanted(unit):
            was = unit.identity
            if was is not None and (was.digest, was.nonce) != (unit.service.digest, unit.nonce):
                raise Broken(f"{name} sleeps on another definition than the one that is wanted")
        runs = phase in RUNNING or phase is Phase.SPAWNING
        if (
            runs
            and unit.identity is not None
            and self._has_to_go(unit)
            and not self._waits_for_dependents(unit)
        ):
            raise Broken(f"{name} has to go and nothing happens")

    def _ready(self, unit: Unit) -> None:
        p = self.world.host.processes.get(unit.attempt)
        check = unit.service.ready
        if p is None or p.handle != unit.handle:
            raise Broken(f"{unit.name} is ready without a process")
        if check is not None and p.passed < check.successes:
            raise Broken(f"{unit.name} is ready, but it never passed its check")

    def _has_to_go(self, unit: Unit) -> bool:
        was = unit.identity
        if not wanted(unit) or unit.leaving is not None or unit.phase in (Phase.STOPPING, Phase.KILLING):
            return True
        if was is not None and (was.digest, was.nonce) != (unit.service.digest, unit.nonce):
            return True
        if was is not None and self._has_another_address(unit, was):
            return True
        units = self.world.engine.units
        bound = [units[need.on] for need in unit.service.needs if need.bound and need.on in units]
        if was is not None and was.bound != tuple((on.name, on.attempt) for on in bound):
            return True
        return any(alive(on) and self._has_to_go(on) for on in bound)

    def _has_another_address(self, unit: Unit, was: Identity) -> bool:
        """A port that it was started with, and that its definition still speaks of, has another number. Not as long as
        it has none and may get the same again."""
        kept = unit.service.on_change is OnChange.KEEP
        own = [(unit.name, port.name) for port in unit.service.leased]
        speaks_of = [*own, *(() if kept else unit.service.refs)]
        leases, units = self.world.engine.state.leases, self.world.engine.units
        told = {(x.service, x.name): x for x in was.leases if (x.service, x.name) in speaks_of}
        others = [port for on in units.values() if on is not unit for port in on.service.ports]
        again = {(p.service, p.name): range(p.low, p.high + 1) for p in others}
        come = [key for key, x in told.items() if x.number in again.get(key, ())]
        return any(leases.get(key, x if key in come else None) != x for key, x in told.items())

    def _waits_for_dependents(self, unit: Unit) -> bool:
        return any(
            alive(other) and self._has_to_go(other)
            for other in self.world.engine.units.values()
            if any(need.on == unit.name for need in other.service.needs)
        )

    def _deadlines(self) -> None:
        now, engine = self.now, self.world.engine
        due = engine.next_deadline()
        if due is not None and due <= now:
            raise Broken(f"a deadline of {due} was missed")
        for unit in engine.state.everyone():
            age = now - self.entered.get(unit.key, now)
            limit = {
                Phase.SPAWNING: SPAWN_S,
                Phase.STOPPING: SPAWN_S + unit.service.stop.grace_s,
                Phase.BACKOFF: unit.service.restart.max_s * 1.2,
            }.get(unit.phase)
            if unit.phase is Phase.STARTING and unit.service.ready is not None:
                limit = unit.service.ready.timeout_s
            if limit is not None and age > limit + EPS:
                raise Broken(f"{unit.name} is {unit.phase.value} for {age:.3f} s, {limit} allowed")
            if unit.phase is Phase.KILLING and not (unit.deadline and unit.deadline <= now + RESWEEP_S + EPS):
                raise Broken(f"{unit.name} is being killed and nobody looks again")
            if unit.deadline is not None and (due is None or due > unit.deadline + EPS):
                raise Broken(f"the engine would sleep past a deadline of {unit.name}")

    def _leases(self, wishes: Sequence[Wish]) -> None:
        held, numbers, gpus = self.world.host.leases, set(), set()
        for lease in (*self.world.engine.state.leases.values(), *self.seconds.leases()):
            if lease not in held:
                raise Broken(
                    f"the core believes in port {lease.number} of {lease.service}, which is not held"
                )
            if lease.number in (gpus if lease.gpu else numbers):
                raise Broken(f"{'GPU' if lease.gpu else 'port'} {lease.number} is given to two")
            (gpus if lease.gpu else numbers).add(lease.number)
        users: dict[int, str] = {}
        for p in self.world.host.processes.values():
            for lease in (x for x in p.identity.leases if p.lives and x.gpu and x.service == p.service):
                if users.setdefault(lease.number, p.service) != p.service:
                    raise Broken(f"GPU {lease.number} is with {users[lease.number]} and {p.service} at once")
        for wish in wishes:
            if isinstance(wish, w.ReleasePorts):
                self._released(wish)

    def _released(self, wish: w.ReleasePorts) -> None:
        for lease in wish.leases:
            for p in self.world.host.living(lease.service):
                if (p.main or lease.gpu) and lease in p.identity.leases:
                    raise Broken(f"port {lease.number} is let go while {lease.service} uses it")

    # --- at rest -------------------------------------------------------------------------------------

    def unsettled(self) -> list[str]:
        """Why the world is not where it should be, now that nothing goes wrong any more."""
        units = self.world.engine.units
        found = [why for unit in units.values() if (why := self._unsettled(unit))]
        found += self.seconds.unsettled()
        kept = {*self.world.engine.state.leases.values(), *self.seconds.leases()}
        everyone = self.world.engine.state.everyone()
        asked = {(u.name, port.name) for u in everyone for port in u.service.leased}
        spare = [x for x in self.world.host.leases if x not in kept]
        found += [f"port {x.number} of {x.service} is kept for nobody" for x in spare]
        found += [f"port {x.number} has no owner" for x in kept if (x.service, x.name) not in asked]
        resting = [u.name for u in units.values() if u.phase in (Phase.DONE, Phase.FAILED) or not wanted(u)]
        idle = [x for x in self.world.engine.state.leases.values() if x.gpu and x.service in resting]
        found += [
            f"GPU {x.number} is kept by {x.service}, which rests" for x in idle if not alive(units[x.service])
        ]
        known = set(units)
        found += [
            f"{p.service} lives and nobody knows"
            for p in self.world.host.processes.values()
            if p.lives and p.service not in known
        ]
        return found

    def _unsettled(self, unit: Unit) -> str:
        name, phase, second = unit.name, unit.phase, self.world.engine.state.beside.get(unit.name)
        living = self.world.host.living(name)
        living = [p for p in living if second is None or p.attempt != second.attempt]
        if unit.removed:
            return f"{name} is not forgotten"
        if not wanted(unit):
            return f"{name} is {phase.value} although nobody wants it" if living or alive(unit) else ""
        if living and living[0].attempt != unit.attempt:
            return f"{name}: a stranger lives"
        if phase is Phase.IDLE:
            return "" if self.is_blocked(unit) else f"{name} is idle although nothing blocks it"
        if phase is Phase.FAILED or (phase is Phase.DONE and not living):
            return ""
        if phase not in RUNNING or not living or not living[0].main:
            return f"{name} is {phase.value}"
        p = living[0]
        ready = unit.service.ready is None or (p.is_ready(self.world.now) and not p.behaviour.silent)
        expected = {Phase.READY} if ready else {Phase.STARTING, Phase.UNREADY}
        if (check := unit.service.ready) is not None and (not check.interval_s or check.kind in ONCE):
            expected.add(Phase.READY)
        if phase not in expected:
            return f"{name} is {phase.value}, in truth it is {'' if ready else 'not '}ready"
        return ""

    def _waits_for_gpus(self, unit: Unit) -> bool:
        """There are not as many free as it may wait for, or not those."""
        host = self.world.host
        own = unit.leases if unit.role is Role.NEXT else self.world.engine.state.leases
        others = [
            x.number for x in host.leases if x.gpu and (x.service != unit.name or x not in own.values())
        ]
        mine = [x for x in unit.service.gpus if x.gpu is not None and x.gpu.wait]
        free = [n for n in range(len(host.gpus.memory)) if n not in (*host.gpus.taken, *others)]
        named = [x.low for x in unit.service.gpus if x.low == x.high]
        return bool(mine) and (len(free) < len(mine) or any(n not in free for n in named))

    def is_blocked(self, unit: Unit) -> bool:
        units = self.world.engine.units
        for name, port in unit.service.refs:
            if all(own.name != port for own in units[name].service.ports):
                return True  # it keeps a definition without it
        if self._waits_for_gpus(unit):
            return True
        for need in unit.service.needs:
            on = self.world.engine.units.get(need.on)
            if on is None or on.phase is Phase.FAILED:
                return True
            if on.phase is Phase.DONE and self._ended_as_wanted(on):
                continue
            if not wanted(on) or self.is_blocked(on):
                return True
            living = self.world.host.living(on.name)
            if (
                living
                and need.condition is not Condition.STARTED
                and on.phase in (Phase.STARTING, Phase.UNREADY)
            ):
                return True
            if need.condition is Condition.DONE and on.service.kind is Kind.SERVER:
                return True
            if need.condition is Condition.DONE and on.phase in RUNNING:
                return True
        return False
