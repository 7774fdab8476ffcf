"""A host that is a simulation: processes, ports and faults in virtual time. The tests' world.

Decides how the simulated world behaves; knows nothing about what the core makes of it. Everything
follows from the behaviours and the faults that it is given: no clock, no randomness of its own.

What a host owes the core, and what this one keeps to, whatever the faults:

- Facts are true when they are made. They may be told late, twice, in another order or not at all; but
  an `Exited` that nobody asked for is never lost (host and core share a process), at most late.
- `GpusFreed` is likewise never lost: told once after a request that waits, when somebody else lets go of a GPU.
- `TreeGone` is final: it is not told of an attempt whose start is still under way. A SIGKILL to the tree
  of such an attempt calls the start off.
- Ports are taken and let go in the order of the wishes. Asking again for a port that the same service
  holds already under that name gives the same number, unless the request avoids it. What a request got that the core has
  abandoned is held for nobody, unless another answer has told of it.
- When a host comes back, what it still runs is told in the same batch as `HostBack`.
- What a new supervisor is told of as `Adopted` has its ports again, also if it has ended: nobody else is given them. Its
  GPUs only if something of it lives.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from launchpad.core.facts import (
    Adopted,
    Exited,
    Fact,
    GpusFreed,
    HostBack,
    HostLost,
    PortsLeased,
    PortsRefused,
    Probed,
    Sampled,
    Spawned,
    SpawnFailed,
    TreeGone,
    TreeHeld,
)
from launchpad.core.model import CheckKind, Handle, Lease, Seen, Sink
from launchpad.core.wishes import (
    Abandon,
    AbandonPorts,
    Forget,
    HostWish,
    LeasePorts,
    Prepare,
    Probe,
    ReleasePorts,
    Sample,
    Signal,
    Spawn,
)
from launchpad.hosts.base import Tell
from launchpad.hosts.sim_actors import Behave, Behaviour, Faults, NoFaults, Process, steady
from launchpad.hosts.sim_environments import SimEnvironments
from launchpad.hosts.sim_gpus import SimGpus
from launchpad.hosts.sim_ports import grant

__all__ = ["Behave", "Behaviour", "Faults", "NoFaults", "Process", "SimHost", "steady"]

SIGKILL = 9
HARMLESS = (1, 10, 12)
"""SIGHUP, SIGUSR1 and SIGUSR2: every simulated process handles them."""
ANSWER_S = 0.001
"""How long a host takes for what it can answer at once."""


class SimHost:
    """A `Host` in virtual time. `advance` lets time pass; `next_event` says when something happens next."""

    def __init__(self, tell: Tell, behave: Behave = steady, faults: Faults | None = None) -> None:
        self.tell = tell
        self.behave = behave
        self.faults: Faults = faults or NoFaults()
        self.now = 0.0
        self.processes: dict[int, Process] = {}
        self.last: dict[str, int] = {}
        """The latest attempt of each service: its record outlives supervisors."""
        self.spawns: dict[str, int] = {}
        self.taken: dict[int, str] = {}
        """Port numbers of strangers."""
        self.gpus = SimGpus()
        self.leases: dict[Lease, None] = {}
        self.granted: tuple[int, list[Lease]] = (0, [])
        """The latest request of the core, and what it got that was not held before and nobody else was told of."""
        self.routes: dict[str, tuple[Sink, ...]] = {}
        self.environments = SimEnvironments(self._after, self._answer)
        self.away = False
        self.life = 0
        """Counts supervisors and losses: what was on its way before does not arrive after."""
        self._pid = 100
        self._seq = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._doing: dict[type, Callable[..., None]] = {
            Spawn: self._spawn,
            Signal: self._signal,
            Probe: self._probe,
            Sample: self._sample,
            LeasePorts: self._lease,
            ReleasePorts: self._release,
            AbandonPorts: self._abandon,
            Prepare: self.environments.prepare,
            Abandon: self.environments.abandon,
            Forget: self._forget,
        }

    # --- the host contract ---------------------------------------------------------------------------

    def submit(self, wishes: Sequence[HostWish]) -> None:
        for wish in wishes:
            local = isinstance(wish, LeasePorts | ReleasePorts | AbandonPorts | Forget)
            if local or (not self.away and self.faults.wish(wish)):
                self._doing[type(wish)](wish)

    def route(self, service: str, sinks: tuple[Sink, ...]) -> None:
        self.routes[service] = sinks

    async def close(self) -> None:
        self.leases.clear()

    # --- time ----------------------------------------------------------------------------------------

    def next_event(self) -> float | None:
        return self._events[0][0] if self._events else None

    def advance(self, now: float) -> None:
        """Everything that happens until `now`, in order."""
        while self._events and self._events[0][0] <= now:
            at, _, happen = heapq.heappop(self._events)
            self.now = max(self.now, at)
            happen()
        self.now = max(self.now, now)

    def _after(self, wait: float, happen: Callable[[], None]) -> None:
        self._seq += 1
        heapq.heappush(self._events, (self.now + wait, self._seq, happen))

    def _answer(self, fact: Fact, wait: float = 0.0) -> None:
        """Tell a fact, as far as the faults let it through."""
        if self.away:
            return
        delays = self.faults.answer(fact)
        if isinstance(fact, Exited | GpusFreed) and not delays:
            delays = (0.0,)
        life = self.life
        for delay in delays:
            if wait + delay <= 0.0:
                self._tell(fact)
            else:
                self._after(wait + delay, lambda: self._tell(fact) if life == self.life else None)

    def _tell(self, fact: Fact) -> None:
        if isinstance(fact, Exited | TreeGone) and fact.attempt in self.processes:
            self.processes[fact.attempt].told = True
        self.tell(fact)

    # --- processes -----------------------------------------------------------------------------------

    def living(self, service: str) -> list[Process]:
        """Every process of the service that really lives."""
        return [p for p in self.processes.values() if p.service == service and p.lives]

    def current(self, service: str) -> Process:
        """The latest attempt; of `NAME#N`, the one with this number. KeyError if there was none."""
        name, _, number = service.partition("#")
        if number:
            return next(p for p in self.living(name) if p.attempt & 0xFFFFFFFF == int(number))
        return self.processes[self.last[service]]

    def _spawn(self, wish: Spawn) -> None:
        assert wish.attempt not in self.processes, f"attempt {wish.attempt} was used before"
        nth = self.spawns.get(wish.service, 0)
        self.spawns[wish.service] = nth + 1
        behaviour = self.behave(wish.service, nth)
        process = Process(wish.service, wish.attempt, wish.identity, behaviour, wish.launch)
        self.processes[wish.attempt] = process
        self._after(behaviour.spawn_s, lambda: self._born(process))

    def _born(self, p: Process) -> None:
        if not p.pending:
            return
        p.pending = False
        b = p.behaviour
        if b.spawn_fails:
            text = f"{b.spawn_fails} failed"
            self._answer(SpawnFailed(p.service, p.attempt, b.spawn_fails, text, b.fails_finally))
            return
        self._pid += 1
        p.handle = Handle(self._pid, start=self._pid, host="local")
        p.main, p.children, p.sweeps, p.born_at = True, b.children, b.sweeps, self.now
        self.last[p.service] = p.attempt
        self._answer(Spawned(p.service, p.attempt, p.handle))
        if (exit_s := p.exit_s) is not None:
            self._after(exit_s, lambda: self._main_ends(p, p.exit_code))
        if b.ready_s is not None:
            self._after(b.ready_s, lambda: self._event_happened(p))

    def _main_ends(self, p: Process, code: int | None) -> None:
        if not p.main:
            return
        p.main, p.code = False, code
        self.taken.update((lease.number, "a stranger") for lease in p.robbed_of)
        self._answer(p.exited())

    def _signal(self, wish: Signal) -> None:
        p = self.processes.get(wish.attempt)
        if p is None:
            if wish.scope == "tree":
                self._answer(TreeGone(wish.service, wish.attempt), ANSWER_S)
            return
        assert p.service == wish.service, f"{wish} is meant for another service"
        if wish.handle is not None:
            assert wish.handle == p.handle, f"{wish} would hit a stranger"
        if wish.signal == SIGKILL:
            self._kill(p, wish.scope)
        elif wish.signal in HARMLESS:
            p.signals += [wish.signal] if p.main else []
        elif not p.pending:
            self._terminate(p, wish.scope)
            if wish.scope == "tree":
                self._after(p.behaviour.leaves_s + ANSWER_S, lambda: self._say_what_is_left(p))

    def _terminate(self, p: Process, scope: str) -> None:
        b = p.behaviour
        if p.main and not b.ignores_term:
            self._after(b.leaves_s, lambda: self._main_ends(p, b.leaves_with))
        if scope == "tree" and p.children and not b.children_ignore_term:
            self._after(b.leaves_s, lambda: setattr(p, "children", 0))

    def _kill(self, p: Process, scope: str) -> None:
        p.pending = False
        if scope == "main":
            self._main_ends(p, -SIGKILL)
            return
        p.sweeps = max(0, p.sweeps - 1)
        if p.sweeps == 0:
            p.children = 0
        if p.sweeps == 0 or p.children:
            self._main_ends(p, -SIGKILL)
        self._say_what_is_left(p, ANSWER_S)

    def _say_what_is_left(self, p: Process, wait: float = 0.0) -> None:
        if p.lives:
            self._answer(TreeHeld(p.service, p.attempt, f"{p.children + p.main} processes"), wait)
        else:
            self._answer(TreeGone(p.service, p.attempt), wait)

    # --- by hand -------------------------------------------------------------------------------------

    def end(self, service: str, code: int | None, left: int | None = None) -> None:
        """The main process ends by itself, `code` None: so that nobody can say how; `left` processes of its tree
        live on."""
        self.fail(self.current(service), code, left)

    def fail(self, p: Process, code: int | None, left: int | None = None) -> None:
        p.children = p.children if left is None else left
        p.sweeps = max(1, p.sweeps)
        self._main_ends(p, code)

    def make_ready(self, service: str, ready: bool = True) -> None:
        p = self.current(service)
        p.up = ready
        self._event_happened(p)

    # --- probes --------------------------------------------------------------------------------------

    def _probe(self, wish: Probe) -> None:
        p = self.processes.get(wish.attempt)
        if p is None or not p.lives:
            dead = Seen("refused", "refused")
            self._answer(Probed(wish.service, wish.attempt, wish.check, wish.seq, False, dead), ANSWER_S)
        elif wish.probing.kind.is_event:
            p.waiting[wish.seq] = wish
            self._event_happened(p)
        elif p.behaviour.silent:
            self._after(wish.probing.timeout_s, lambda: self._look(p, wish))
        else:
            self._after(ANSWER_S, lambda: self._look(p, wish))

    def _look(self, p: Process, wish: Probe) -> None:
        kind, ok = wish.check, False
        if not p.behaviour.silent:
            ok = p.is_ready(self.now) if kind == "ready" else p.is_well(self.now)
        if ok and kind == "ready":
            p.passed += 1
        self._answer(Probed(p.service, p.attempt, kind, wish.seq, ok, self._sight(p, wish, ok)))

    def _sight(self, p: Process, wish: Probe, ok: bool) -> Seen:
        if ok:
            return Seen("ok", "answers")
        if p.behaviour.hopeless:
            return Seen("elsewhere", "listens elsewhere", final=True)
        if p.behaviour.silent:
            return Seen("silent", "accepted, no answer")
        return (
            Seen("missing", "not there")
            if wish.probing.kind is CheckKind.FILE
            else Seen("refused", "refused")
        )

    def _event_happened(self, p: Process) -> None:
        if p.is_ready(self.now) and not p.behaviour.silent:
            waiting, p.waiting = p.waiting, {}
            for wish in waiting.values():
                self._look(p, wish)

    def _sample(self, wish: Sample) -> None:
        p = self.processes.get(wish.attempt)
        if p is not None and p.lives:
            self._answer(Sampled(p.service, p.attempt, 0, p.cpu_s(self.now)), ANSWER_S)

    # --- ports and GPUs ---------------------------------------------------------------------------------------

    def _lease(self, wish: LeasePorts) -> None:
        gpus = [request for request in wish.requests if request.gpu is not None]
        devices, no_gpus, waiting = self.gpus.grant(gpus, self.leases, wish.preferred)
        asked = [request for request in wish.requests if request.gpu is None]
        found, no_ports = grant(asked, [*self.leases], wish.preferred, self.taken)
        granted, refused = dict.fromkeys((*found, *devices)), (*no_gpus, *no_ports)
        if refused:
            self._answer(PortsRefused(wish.batch, refused), ANSWER_S)
            return
        if wish.batch > 0:
            self.granted = (wish.batch, [lease for lease in granted if lease not in self.leases])
        else:
            self.granted = (self.granted[0], [one for one in self.granted[1] if one not in granted])
        self.leases.update(granted)
        self.gpus.awaited = self.gpus.awaited or bool(waiting)
        order = [(request.service, request.name) for request in wish.requests]
        leases = sorted(granted, key=lambda lease: order.index((lease.service, lease.name)))
        self._answer(PortsLeased(wish.batch, tuple(leases), waiting=waiting), ANSWER_S)

    def holds(self, leases: Sequence[Lease]) -> bool:
        return all(lease in self.leases for lease in leases)

    def _release(self, wish: ReleasePorts) -> None:
        for lease in wish.leases:
            self.leases.pop(lease, None)

    def _abandon(self, wish: AbandonPorts) -> None:
        batch, new = self.granted
        for lease in new if batch == wish.batch else ():
            self.leases.pop(lease, None)

    def tell_of_gpus(self) -> None:
        """A stranger let go of one."""
        if self.gpus.awaited:
            self.gpus.awaited = False
            self._answer(GpusFreed(), ANSWER_S)

    def _forget(self, wish: Forget) -> None:
        assert not self.living(wish.service), f"{wish.service} is forgotten alive"
        self.last.pop(wish.service, None)

    # --- losses --------------------------------------------------------------------------------------

    def lose(self) -> None:
        """The host does not answer any more; what it runs goes on."""
        self.tell(HostLost("local"))
        self.away = True
        self.life += 1
        self.environments.drop()

    def back(self) -> None:
        """It answers again, and says what it still runs."""
        self.away = False
        self.tell(HostBack("local"))
        for fact in self._survey(ended_too=False):
            self.tell(fact)

    def survey(self) -> list[Fact]:
        """The supervisor died: what a new one finds."""
        self.life += 1
        self.environments.drop()
        self.away, self.gpus.awaited, self.granted = False, False, (0, [])
        found = self._survey(ended_too=True)
        adopted = [fact for fact in found if isinstance(fact, Adopted)]
        had = [(fact.lives, x) for fact in adopted for x in fact.identity.leases if x.service == fact.service]
        kept = [lease for lives, lease in had if lives or not lease.gpu]
        self.leases = {lease: None for lease in self.leases if lease in kept}
        return found

    def _survey(self, *, ended_too: bool) -> list[Fact]:
        """A process that was to be started and is not there yet is called off; one whose main process
        is gone is told as found and ended."""
        found: list[Fact] = []
        for p in sorted(self.processes.values(), key=lambda p: self.last.get(p.service) != p.attempt):
            p.pending = False
            if p.handle is None or not (p.lives or self.last.get(p.service) == p.attempt):
                continue
            if p.lives or (ended_too and not p.told):
                age_s = self.now - p.born_at
                who = (p.service, p.attempt, p.identity, p.handle)
                found.append(Adopted(*who, age_s, p.launch.stop, lives=p.lives))
                if not p.main:
                    found.append(Exited(p.service, p.attempt, p.code, p.children))
        return found
