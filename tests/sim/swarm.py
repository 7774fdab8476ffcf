"""Random stacks, random plans over time, random faults; everything follows from one number.

One schedule: things go wrong for a while (safety is checked after each step), then nothing goes wrong
any more and the world has to come to rest where it should be (liveness), then the stack is closed.
"""

from __future__ import annotations

import random

from msgspec import Struct, field

from launchpad.core.facts import (
    CloseAsked,
    Fact,
    GoalsSet,
    KillAsked,
    PlanApplied,
    PortsLeased,
    PortsRefused,
    RestartAsked,
    WatchedChanged,
)
from launchpad.core.model import Phase
from launchpad.core.wishes import HostWish
from launchpad.hosts.sim import Behaviour
from launchpad.hosts.sim_environments import Making
from tests.sim import notation
from tests.sim.checks import Broken
from tests.sim.world import World

NAMES = "abcdefgh"
REST_S = 900.0
"""Virtual seconds after which a world without faults must have come to rest."""
PORTS = range(8000, 8012)
FEW_PORTS = range(8000, 8005)
ENVIRONMENTS = ("e0", "e1", "e2", "e3")


class RandomFaults(Struct):
    """Each answer may be lost, told late, twice or late and twice; a wish may be lost."""

    rng: random.Random
    on: bool = True
    lose: float = 0.0
    late: float = 0.0
    double: float = 0.0
    lose_wish: float = 0.0
    most_s: float = 1.0

    def wish(self, wish: HostWish) -> bool:
        return not self.on or self.rng.random() >= self.lose_wish

    def answer(self, fact: Fact) -> tuple[float, ...]:
        if not self.on:
            return (0.0,)
        if isinstance(fact, PortsLeased | PortsRefused) and fact.batch < 0:
            return (0.0,)
        dice = self.rng.random()
        if dice < self.lose:
            return ()
        if dice < self.lose + self.late:
            return (self.rng.random() * self.most_s,)
        if dice < self.lose + self.late + self.double:
            return (0.0, self.rng.random() * self.most_s)
        return (0.0,)


class Schedule(Struct, dict=True):
    """One seed's world. `run` raises `Broken`; `story` is what happened."""

    seed: int
    stack: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.hostile = random.Random(f"hostile {self.seed}").random() < 0.25
        """Much goes wrong, and there is too little for all. Drawn apart, so that the other worlds are what they were."""
        self.faults = self._faults()
        self.with_gpus = self.hostile or random.Random(self.seed).random() < 0.5
        self.ports = FEW_PORTS if self.hostile else PORTS
        self.malice = self.rng.choice((0.0, 0.1, 0.3, 0.6))
        self.benign = False
        self.rev = 0
        self.world = World(self._behave, self.faults)
        self.dice = random.Random(f"environments {self.seed}") if self.seed % 3 == 2 else None
        """Of stacks with environments; of its own, so that the other stacks are what they were."""
        if self.dice is not None:
            for name in ENVIRONMENTS:
                takes_s = self.dice.choice((0.0, 0.1, 3.0, 45.0, None))
                fails = self.dice.choice(("", "", "", "no such package"))
                self.world.host.environments.makings[name] = Making(takes_s, fails)

    # --- what is drawn -------------------------------------------------------------------------------

    def _faults(self) -> RandomFaults:
        rng = self.rng
        level = rng.choice((0.05, 0.05, 0.2, 0.4, 0.6) if self.hostile else (0.0, 0.0, 0.02, 0.1, 0.3))
        return RandomFaults(
            rng,
            lose=level * rng.random(),
            late=level * rng.random(),
            double=level * rng.random(),
            lose_wish=level * rng.random() * 0.5,
            most_s=rng.choice((0.01, 0.5, 5.0, 40.0)),
        )

    def _behave(self, service: str, nth: int) -> Behaviour:
        rng = self.rng
        job = self.stack.get(service, "server").startswith("job")
        if self.benign or rng.random() >= self.malice:
            return Behaviour(
                spawn_s=rng.choice((0.0, 0.01)),
                ready_s=rng.choice((0.0, 0.02, 0.3)),
                exit_s=rng.choice((0.05, 0.5)) if job else None,
                leaves_s=rng.choice((0.0, 0.02, 0.2)),
                leaves_with=rng.choice((0, -15, 143)),
            )
        ready_s = rng.choice((0.0, 0.1, 2.0, None))
        return Behaviour(
            spawn_s=rng.choice((0.0, 0.01, 0.3, 2.0, 35.0)),
            spawn_fails=rng.choice(("", "", "", "exec")),
            fails_finally=rng.random() < 0.3,
            ready_s=ready_s,
            exit_s=rng.choice((None, 0.0, 0.05, 0.5, 5.0)) if not job else rng.choice((0.0, 0.05, 3.0)),
            code=rng.choice((0, 0, 1, 3, -9)),
            ignores_term=rng.random() < 0.3,
            leaves_s=rng.choice((0.0, 0.02, 0.5, 3.0)),
            leaves_with=rng.choice((0, 1, -15, 143)),
            children=rng.choice((0, 0, 1, 3)),
            children_ignore_term=rng.random() < 0.4,
            sweeps=rng.choice((1, 1, 2, 4)),
            outages=((1.0, 2.0), (4.0, 7.0)) if rng.random() < 0.3 else (),
            sick_s=rng.choice((None, None, 1.0)),
            silent=rng.random() < 0.1,
            hopeless=ready_s is None and rng.random() < 0.3,
            busy_until_s=rng.choice((0.0, 3.0, 20.0)),
        )

    def _line(self, name: str, earlier: list[str]) -> str:
        rng = self.rng
        kind = rng.choice(("server", "server", "job"))
        words = [kind, name, f"v={rng.randrange(3)}"]
        if rng.random() < 0.4:
            low = rng.choice(self.ports)
            words.append(f"ports=main:{low}-{low + rng.choice((0, 0, 2, 6))}")
        if needs := self._needs(earlier):
            words.append(f"needs={','.join(needs)}")
            ported = [w.partition(":")[0] for w in needs if "ports=" in self.stack[w.partition(":")[0]]]
            if ported and rng.random() < 0.8:
                words.append(f"{rng.choice(('uses', 'uses', 'hears'))}={ported[0]}")
        if kind == "server" and rng.random() < 0.7:
            words.append(f"ready={rng.choice(('http', 'http', 'log', 'exec', 'file', 'notify'))}")
            words.append(f"interval={rng.choice((0, 1, 5))}")
            words += [f"stall={rng.choice((1, 5))}"] if rng.random() < 0.6 else []
            words += [f"timeout={rng.choice((2, 8))}"] if rng.random() < 0.4 else []
            words += ["successes=2"] if rng.random() < 0.2 else []
        if kind == "server" and rng.random() < 0.3:
            words.append(f"alive={rng.choice((0.5, 3))}")
        if rng.random() < 0.4:
            words.append(f"policy={rng.choice(('never', 'on-failure', 'always'))}")
        if (
            rng.random() < 0.6
        ):  # a job that is always run again has to come to an end, or the world never rests
            for_ever = kind == "job" and "policy=always" in words
            words += [f"max={rng.randrange(4)}", f"window={max(rng.choice((5, 60)), 60 * for_ever)}"]
        words += [f"grace={rng.choice((0, 0.3, 2))}", f"backoff={rng.choice((0.05, 0.5))}"]
        ways = ("keep", "signal", "replace", "replace") if kind == "server" else ("keep", "signal")
        words += [f"change={rng.choice(ways)}"] if rng.random() < 0.5 else []
        if kind == "job" and rng.random() < 0.08:
            words.append("primary")
        words += self._gpus(name)
        if self.dice is not None and self.dice.random() < 0.6:
            words.append(f"env={self.dice.choice(ENVIRONMENTS)}")
        return " ".join(words)

    def _gpus(self, name: str) -> list[str]:
        """Drawn apart from all else, so that what other seeds found is found again."""
        rng = random.Random(f"{self.seed} {self.rev} {name}")
        if rng.random() < (0.4 if self.hostile else 0.7) or not self.with_gpus:
            return []
        some = rng.choice(("1", "1", "2", "3", "@0", "@1,@3"))
        return [f"gpus={some}{rng.choice(('', '?', '?'))}"]

    def _needs(self, earlier: list[str]) -> list[str]:
        rng, found = self.rng, []
        for on in rng.sample(earlier, min(len(earlier), rng.choice((0, 1, 1, 2, 3)))):
            job = self.stack[on].startswith("job")
            condition = rng.choice(("done", "done", "started") if job else ("ready", "ready", "started"))
            found.append(f"{on}:{condition}{'!' if rng.random() < 0.35 else ''}")
        return found

    # --- what people ask -----------------------------------------------------------------------------

    def _apply(self, changed: dict[str, str]) -> PlanApplied:
        old, self.stack = self.stack, changed
        self.rev += 1
        for line in changed.values():
            self.world.remark(line)
        up = tuple((name, True) for name in changed if name not in old and self.rng.random() < 0.95)
        return PlanApplied(notation.plan(self.rev, list(changed.values())), up)

    def _reload(self) -> None:
        """As the runtime does it: what the new plan needs besides is leased first, and none of it applied if
        that is refused. Or, now and then, the plan at once."""
        changed, world, old = self._edited(), self.world, self.stack
        fact = self._apply(changed)
        if self.rng.random() < (0.15 if self.hostile else 0.4) or world.host.away:
            world.step(fact)
        elif not world.apply(fact.plan, fact.goals):
            self.stack = old

    def _edited(self) -> dict[str, str]:
        """Another stack: some lines new, some gone, most as before."""
        rng = self.rng
        before, self.stack = self.stack, dict(self.stack)
        found: dict[str, str] = {}
        try:
            for name in NAMES[: rng.randint(1, 8)]:
                line = before.get(name)
                if line is None and rng.random() < 0.5 and before:
                    continue
                if line is None or rng.random() < 0.25:
                    line = self._line(name, list(found))
                found[name] = self.stack[name] = self._repaired(line, found)
        finally:
            self.stack = before
        return found

    def _repaired(self, line: str, known: dict[str, str]) -> str:
        """Without needs of, or references to, what is no longer there."""
        words = []
        for word in line.split():
            key, _, value = word.partition("=")
            if key in ("needs", "uses", "hears"):
                kept = [v for v in value.split(",") if v.partition(":")[0] in known]
                if key != "needs":
                    kept = [v for v in kept if "ports=" in known[v]]
                words += [f"{key}={','.join(kept)}"] if kept else []
            else:
                words.append(word)
        return " ".join(words)

    def _names(self) -> list[str]:
        names = list(self.stack) or ["a"]
        return self.rng.sample(names, self.rng.randint(1, min(3, len(names))))

    def _something(self) -> None:
        rng, world = self.rng, self.world
        what = rng.choice(
            ("reload", "reload", "reload", "goals", "goals", "up", "restart", "rerun", "touch", "touch",
             "hand", "hand", "host", "crash", "ports", "kill")
        )  # fmt: skip
        world.remark(what)
        if what == "reload":
            self._reload()
        elif what in ("goals", "up"):
            up = what == "up"
            world.step(GoalsSet(tuple((n, up or rng.random() < 0.3) for n in self._names())))
        elif what == "restart":
            world.step(RestartAsked(tuple(self._names())))
        elif what == "touch":
            for _ in range(rng.choice((1, 1, 2, 14))):
                world.step(WatchedChanged(tuple(self._names())))
                world.run(world.now + rng.choice((0.0, 0.3, 2.0)) * rng.random())
        elif what == "rerun":
            names = self._names()
            world.step(GoalsSet(tuple((n, True) for n in names), tuple(names)))
        elif what == "kill" and rng.random() < 0.3:
            world.step(KillAsked())
        elif what == "ports":
            self._take_ports()
            self._take_environments()
        else:
            self._to_the_host(what)

    def _take_ports(self) -> None:
        held = {lease.number for lease in self.world.host.leases}
        self.world.host.taken = {n: "a stranger" for n in PORTS if n not in held and self.rng.random() < 0.3}
        rng, gpus = random.Random(f"{self.seed} {self.world.now}"), self.world.host.gpus
        used = [lease.number for lease in self.world.host.leases if lease.gpu]
        gpus.taken = {n: "a stranger" for n in range(4) if n not in used and rng.random() < 0.3}
        self.world.host.tell_of_gpus()

    def _take_environments(self) -> None:
        made = self.world.host.environments.made
        for name in [name for name in made if self.dice is not None and self.dice.random() < 0.5]:
            del made[name]

    def _to_the_host(self, what: str) -> None:
        rng, world = self.rng, self.world
        host = world.host
        if what == "hand" and (living := [p for p in host.processes.values() if p.main]):
            p = rng.choice(living)
            p.up, p.well = rng.choice((None, False, True)), rng.choice((None, None, False))
            if rng.random() < 0.4:
                host.fail(p, rng.choice((0, 1, 3)), rng.choice((None, 0, 2)))
        elif what == "host" and self.faults.on and rng.random() < 0.5:
            host.back() if host.away else host.lose()
        elif what == "crash" and rng.random() < 0.5:
            self._crash()
        while world.inbox:
            world.step()

    def _crash(self) -> None:
        goals = tuple((unit.name, unit.goal) for unit in self.world.engine.units.values() if not unit.removed)
        self.rev += 1
        closing = self.world.engine.state.closing
        for p in self.world.host.processes.values():
            if not p.main and not p.told and self.rng.random() < 0.3:
                p.code = None  # nobody saw how it ended
        extra: tuple[Fact, ...] = (CloseAsked(closing),) if closing is not None else ()
        self.world.crash(PlanApplied(notation.plan(self.rev, list(self.stack.values())), goals), *extra)

    # --- one schedule --------------------------------------------------------------------------------

    def run(self) -> None:
        rng, world = self.rng, self.world
        world.step(self._apply(self._edited()))
        for _ in range(rng.randint(0, 9)):
            world.run(world.now + rng.choice((0.0, 0.01, 0.1, 0.5, 2.0, 10.0)) * rng.random())
            self._something()
        if rng.random() < 0.1:
            world.step(CloseAsked(rng.randrange(3)))
        world.run(world.now + rng.choice((0.1, 5.0, 40.0)))
        self._no_more_faults()
        self._come_to_rest()
        self._close()

    def _no_more_faults(self) -> None:
        world = self.world
        world.remark("from now on nothing goes wrong")
        self.faults.on, self.benign = False, True
        world.host.taken, world.host.gpus.taken = {}, {}
        world.host.tell_of_gpus()
        world.host.environments.mend()
        if world.host.away:
            world.host.back()
        for p in world.host.processes.values():
            p.up = p.well = None

    def _come_to_rest(self) -> None:
        world = self.world
        assert world.checks is not None
        until = world.now + REST_S
        while True:
            world.run(world.now + 10.0)
            why = world.checks.unsettled()
            if not why:
                break
            if world.now > until:
                raise Broken("the world does not come to rest: " + "; ".join(why))
        world.checks.nothing_is_forgotten()

    def _close(self) -> None:
        world, engine = self.world, self.world.engine
        first = engine.state.closing
        code = self.rng.randrange(4)
        world.step(CloseAsked(code))
        if self.rng.random() < 0.3:
            world.step(KillAsked())
        if self.rng.random() < 0.3:
            world.step(GoalsSet(tuple((name, True) for name in self.stack)))
        world.run(world.now + 200.0)
        left = [p.service for p in world.host.processes.values() if p.lives]
        if left:
            raise Broken(f"after the end {left} live")
        verdict = engine.verdict()
        if verdict.phase != "finished" or verdict.code != (code if first is None else first):
            raise Broken(f"closed with {code}, the verdict is {verdict}")
        if any(unit.phase in (Phase.BACKOFF, Phase.SPAWNING) for unit in engine.units.values()):
            raise Broken("something is still going to start after the end")

    def story(self) -> str:
        return f"seed {self.seed}\n{self.faults}\n{self.world.transcript()}"


def one(seed: int) -> None:
    """Runs a seed. On any failure: AssertionError with the seed and everything that happened."""
    schedule = Schedule(seed)
    try:
        schedule.run()
    except (AssertionError, KeyError, AttributeError, TypeError, OverflowError) as error:
        raise Broken(
            f"{type(error).__name__}: {error}\n\n{schedule.story()}\n\nreplay: pytest tests/sim --seed {seed}"
        ) from error
