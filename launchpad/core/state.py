"""What the core knows: one `Unit` per service (two while it is replaced), the leases, and the timers that follow.

Holds data and answers questions about it; changes nothing by itself and wishes nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct, field

from launchpad.core.facts import Refusal
from launchpad.core.model import (
    ALIVE,
    RUNNING,
    Check,
    Environment,
    Handle,
    Identity,
    Kind,
    Lease,
    Outcome,
    Phase,
    PortRequest,
    Service,
)
from launchpad.core.wishes import Note, Wish

MAX_SIGHTS = 12


class Sight(Struct):
    """What probes saw, run-length coded: the same sight `count` times between two moments."""

    kind: str
    text: str
    first_at: float
    last_at: float
    count: int = 1
    sure: bool = False
    """It is no passing state of a start: people are told."""


class Probes(Struct):
    """The state of one check of one attempt. `flying` maps probe number → when it is given up."""

    next_at: float | None = None
    good: int = 0
    misses: int = 0
    flying: dict[int, float] = field(default_factory=dict)

    def deadline(self, limit: int) -> float | None:
        times = list(self.flying.values())
        if self.next_at is not None and len(self.flying) < limit:
            times.append(self.next_at)
        return min(times, default=None)


class Signs(Struct):
    """Signs of life during a start: the last sample, and when something last moved."""

    lively_at: float = 0.0
    next_at: float | None = None
    sampled_at: float = 0.0
    output_bytes: int = -1
    cpu_s: float = 0.0
    gpu_bytes: int = 0


class Preparation(Struct):
    """An environment that was asked for. `text`: how far it is. `due`: when it is asked for again."""

    request: int
    due: float
    text: str = ""
    done: bool = False


class Batch(Struct):
    """`due`: when it is given up. `is_old`: something was let go since it was asked for, so what its answer refuses may
    be free by now. `is_void`: so was something of that which it asks for (another answer told of it before): its own
    may speak of what is gone."""

    number: int
    requests: tuple[PortRequest, ...]
    due: float
    is_old: bool = False
    is_void: bool = False


class Role(StrEnum):
    """SERVICE: what people mean by its name. NEXT: started beside it, to take its place. LEAVER: it has been
    replaced, or was to replace and is no longer wanted; all that is left to do is to end it."""

    SERVICE = "service"
    NEXT = "next"
    LEAVER = "leaver"


class Unit(Struct):
    """The whole run-time state of one service; or of its second process, while there is one (`State.beside`)."""

    service: Service
    role: Role = Role.SERVICE
    goal: bool = False
    removed: bool = False
    phase: Phase = Phase.IDLE
    since: float = 0.0
    attempt: int = 0
    identity: Identity | None = None
    handle: Handle | None = None
    nonce: int = 0
    spawned_at: float = 0.0
    taken_over: bool = False
    """An earlier supervisor started its process."""
    ready_at: float | None = None
    deadline: float | None = None
    """When the phase is over at the latest: spawn, grace, kill, backoff."""
    give_up_at: float | None = None
    """When a start is given up, whatever signs of life there are (`ready.timeout`)."""
    leaving: Outcome | None = None
    """Why it is being stopped, if nobody asked for it; the outcome once its tree is gone."""
    exited: int | None = None
    """The main process's code when the rest of its tree still lives."""
    held_by: str = ""
    """The processes that keep a stop from ending."""
    deaths: list[float] = field(default_factory=list)
    restarts: int = 0
    held_down: bool = False
    """Somebody asked for it to be stopped; it stays so until somebody asks for a start."""
    last: Outcome | None = None
    history: list[Outcome] = field(default_factory=list)
    ready: Probes = field(default_factory=Probes)
    alive: Probes = field(default_factory=Probes)
    signs: Signs = field(default_factory=Signs)
    sights: list[Sight] = field(default_factory=list)
    looked_at: float = 0.0
    old_leases: list[Lease] = field(default_factory=list)
    """Leases that no longer fit, to be let go when the process that uses them is gone."""
    leases: dict[str, Lease] = field(default_factory=dict)
    """Port name → lease. NEXT: its ports. SERVICE: those that are held for a replacement that is to come."""
    replace_due: bool = False
    """It changed, and no replacement has been tried since."""
    failed: Unit | None = None
    """The replacement that was tried last, if it failed."""
    pending: Service | None = None
    """What the stack says it is, while it runs on as `service`."""
    signal_due: bool = False
    """It changed, and has not been told so yet."""
    files_changed: bool = False
    """What it watches changed since it was started, and it runs on."""
    changes: list[float] = field(default_factory=list)
    """When changes of what it watches lately had an effect."""
    suspended: bool = False
    """They have none for now: there were too many."""
    timer: float | None = None
    """The moment that is in the heap for this unit."""

    @property
    def name(self) -> str:
        return self.service.name

    @property
    def key(self) -> str:
        """What timers and marks know it by: two units of one service have two. No name has a quote in it."""
        return self.name if self.role is Role.SERVICE else f"{self.name}'"

    @property
    def is_alive(self) -> bool:
        return self.phase in ALIVE

    @property
    def is_running(self) -> bool:
        return self.phase in RUNNING

    @property
    def wanted(self) -> bool:
        return self.goal and not self.removed

    @property
    def is_job(self) -> bool:
        return self.service.kind is Kind.JOB

    def next_deadline(self) -> float | None:
        times = (
            self.deadline,
            self.give_up_at,
            self.signs.next_at,
            self.ready.deadline(flying_limit(self.service.ready)),
            self.alive.deadline(flying_limit(self.service.alive)),
            self.stalls_at() if self.phase is Phase.STARTING else None,
        )
        return min((t for t in times if t is not None), default=None)

    def stalls_at(self) -> float | None:
        check = self.service.ready
        if check is None or check.stall_s is None:
            return None
        return self.signs.lively_at + check.stall_s


def flying_limit(check: Check | None) -> int:
    """How many probes of one check may be under way: many where an answer may never come, one where it is work."""
    if check is None or check.argv or check.content or check.kind.is_event:
        return 1
    return 20


class State(Struct):
    """Everything: units in plan order, leases by (service, port), timers, and what was not yet wished."""

    epoch: int = 1
    rev: int = 0
    units: dict[str, Unit] = field(default_factory=dict)
    dependents: dict[str, list[str]] = field(default_factory=dict)
    users: dict[str, list[str]] = field(default_factory=dict)
    """Who refers to the ports of a service, by its name."""
    primaries: list[str] = field(default_factory=list)
    beside: dict[str, Unit] = field(default_factory=dict)
    """The second process of a service, by the service's name: its replacement, or one that is being ended."""
    leases: dict[tuple[str, str], Lease] = field(default_factory=dict)
    known_ports: dict[tuple[str, str], Lease] = field(default_factory=dict)
    """Numbers had before, asked for again."""
    batches: int = 0
    open: Batch | None = None
    """The request for ports that is under way."""
    awaited: tuple[Lease, ...] = ()
    """What was refused and is about to be let go: do not ask before that."""
    lacking: dict[str, None] = field(default_factory=dict)
    """Who misses ports."""
    gpus_wait: dict[tuple[str, bool], Refusal] = field(default_factory=dict)
    """(service, its replacement?) → the GPUs that it waits for: do not ask before one is let go."""
    let_go: dict[str, None] = field(default_factory=dict)
    """Services whose programs cannot bind beside a hold: their ports are let go of just before each start."""
    leases_changed: bool = False
    unprepared: dict[str, Environment] = field(default_factory=dict)
    """Who is to be started, and the environment that it has."""
    preparations: dict[Environment, Preparation] = field(default_factory=dict)
    """Environments that services wait for, or have waited for and not yet used."""
    request: int = 0
    closing: int | None = None
    """The exit code, once the stack is to end by itself (a `primary` job ended)."""
    is_untouched: bool = True
    """Nothing was started yet, and nothing was found running."""
    counter: int = 0
    probe_counter: int = 0
    dirty: dict[str, None] = field(default_factory=dict)
    """Whom the rules have to be asked about."""
    changed: dict[str, None] = field(default_factory=dict)
    """Whose deadlines may have moved."""
    wishes: list[Wish] = field(default_factory=list)
    heap: list[tuple[float, str]] = field(default_factory=list)
    starting: int = 0

    def next_attempt(self) -> int:
        """Never repeats, also not across supervisor lives: the epoch is in the high bits."""
        self.counter += 1
        self.is_untouched = False
        return (self.epoch << 32) | self.counter

    def find(self, key: str) -> Unit | None:
        """The unit that timers and marks know by this key."""
        return self.beside.get(key[:-1]) if key.endswith("'") else self.units.get(key)

    def everyone(self) -> Iterator[Unit]:
        """Both units of a service that has two."""
        yield from self.units.values()
        yield from self.beside.values()

    def touch(self, name: str) -> None:
        """Ask the rules again about this service and everything around it; what lives and is bound to it has to go
        when it has to, and so on."""
        unit = self.units.get(name)
        if unit is None:
            return
        self._mark(name)
        self.changed[name] = None
        if name in self.beside:
            self.changed[self.beside[name].key] = None
        for need in unit.service.needs:
            if need.on in self.units:
                self._mark(need.on)
        around, seen = [name], {name: None}
        for near in around:
            for other in self.dependents.get(near, ()):
                self._mark(other)
                if other not in seen and self._is_bound(other, near):
                    around.append(other)
                    seen[other] = None

    def touch_users(self, name: str) -> None:
        """Its numbers are part of what it, and whoever refers to them, is started as."""
        self.touch(name)
        for other in self.users.get(name, ()):
            self.touch(other)

    def _mark(self, name: str) -> None:
        self.dirty[name] = None
        if name in self.beside:
            self.dirty[self.beside[name].key] = None

    def _is_bound(self, name: str, on: str) -> bool:
        unit = self.units[name]
        return unit.is_alive and any(need.bound and need.on == on for need in unit.service.needs)

    def index(self) -> None:
        """Who is about whom, after services have come or changed; by what they are, or will be."""
        self.dependents = {name: [] for name in self.units}
        self.users = {name: [] for name in self.units}
        self.primaries = []
        for name, unit in self.units.items():
            for names in self._entries(unit):
                names.append(name)

    def forget(self, name: str) -> None:
        """It is no longer part of the stack, and nothing of it lives."""
        for names in self._entries(self.units.pop(name)):
            if name in names:
                names.remove(name)
        del self.dependents[name], self.users[name]
        self.let_go.pop(name, None)

    def _entries(self, unit: Unit) -> Iterator[list[str]]:
        """Where it is listed in the indices."""
        both = (unit.service, unit.pending or unit.service)
        needs = dict.fromkeys(need.on for need in unit.service.needs)
        uses = dict.fromkeys(use for service in both for use in service.uses)
        yield from (self.dependents[on] for on in needs if on in self.dependents)
        yield from (self.users[on] for on in uses if on in self.users)
        if any(service.primary for service in both):
            yield self.primaries

    def arm(self) -> None:
        """Put the next deadlines of changed units into the heap, unless they are there already."""
        for key in self.changed:
            unit = self.find(key)
            if unit is None:
                continue
            due = unit.next_deadline()
            if due is not None and due != unit.timer:
                heapq.heappush(self.heap, (due, key))
            unit.timer = due
        self.changed.clear()

    def next_deadline(self) -> float | None:
        while self.heap:
            due, key = self.heap[0]
            unit = self.find(key)
            if unit is not None and unit.timer == due:
                break
            heapq.heappop(self.heap)
        times = [one.due for one in self.preparations.values() if not one.done]
        times += [self.heap[0][0]] if self.heap else []
        times += [self.open.due] if self.open is not None else []
        return min(times, default=None)

    def due(self, now: float) -> list[Unit]:
        """Units whose deadline has come, earliest first; each once."""
        found: dict[str, Unit] = {}
        while self.heap and self.heap[0][0] <= now:
            due, key = heapq.heappop(self.heap)
            unit = self.find(key)
            if unit is not None and unit.timer == due:
                unit.timer = None
                found[key] = unit
                self.changed[key] = None
        return list(found.values())

    def note(self, now: float, unit: Unit, what: str, text: str) -> None:
        what = {Role.NEXT: "replacement", Role.LEAVER: "leaving"}.get(unit.role, what)
        self.wishes.append(Note(now, unit.name, what, text, unit.phase.value, unit.attempt))
