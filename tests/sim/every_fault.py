"""One well-known course of events, broken at every single point in every way.

The course: three services with ports, readiness and a bound dependent; a crash; a reload that changes one,
adds one that waits for the GPUs of one that is removed, changes two that run on over it and one that is replaced, with
a dependent that was told its address; watched files that change; a job that ends; an end of the stack. `points`
says how many answers and wishes pass between core and host in it; `run` breaks some of them and expects the world to
come to rest where it should, with every promise kept on the way.
"""

from __future__ import annotations

import itertools

from msgspec import Struct, field

from launchpad.core.facts import (
    CloseAsked,
    Fact,
    PlanApplied,
    Probed,
    Sampled,
    Spawned,
    SpawnFailed,
    WatchedChanged,
)
from launchpad.core.wishes import HostWish, Probe, Sample
from launchpad.hosts.sim import Behaviour, SimHost
from tests.sim import notation
from tests.sim.checks import Broken
from tests.sim.world import World

WAYS = ("lose", "late", "later", "double", "fail")
FIRST = (
    "server db ports=8000-8009 ready=http interval=5 stall=5 grace=1 backoff=0.2",
    "server api ports=8100-8109 ready=http needs=db:ready! uses=db interval=5 stall=5 grace=1 backoff=0.2",
    "job train needs=api:ready uses=api policy=on-failure max=3 grace=1 backoff=0.2",
    "server gone grace=1 backoff=0.2 gpus=3",
    "server kept v=1 ports=8300-8309 grace=1 backoff=0.2 change=keep",
    "server told v=1 ready=http interval=5 stall=5 needs=kept:started hears=kept grace=1 backoff=0.2 change=signal",
    "server swap v=1 ports=8400-8409 ready=http interval=5 stall=5 grace=1 backoff=0.2 change=replace",
    "server asks needs=swap:ready uses=swap grace=1 backoff=0.2",
)
SECOND = (
    "server db ports=8000-8009 ready=http interval=5 stall=5 grace=1 backoff=0.2",
    "server api v=2 ports=8200-8209 ready=http needs=db:ready! uses=db interval=5 stall=5 grace=1 backoff=0.2",
    "job train needs=api:ready uses=api policy=on-failure max=3 grace=1 backoff=0.2",
    "server new ports=8100-8109 needs=db:started grace=1 backoff=0.2 gpus=2?",
    "server kept v=2 ports=8305-8319 grace=1 backoff=0.2 change=keep",
    "server told v=2 ready=http interval=5 stall=5 needs=kept:started hears=kept grace=1 backoff=0.2 change=signal",
    "server swap v=2 ports=8400-8409 ready=http interval=5 stall=5 grace=1 backoff=0.2 change=replace",
    "server asks needs=swap:ready uses=swap grace=1 backoff=0.2",
)


class Breaks(Struct):
    """`breaks` maps the number of an answer or of a wish → how it is broken. Probes and samples that go
    wrong change nothing that is not counted in tests of their own; most are let pass."""

    breaks: dict[int, str] = field(default_factory=dict)
    count: int = 0
    probes: int = 0
    every: int = 7
    """Of probes and samples, and their answers."""
    on: bool = True
    failing: bool = False

    def _next(self, thing: HostWish | Fact) -> str:
        if not self.on:
            return ""
        if isinstance(thing, Probe | Sample | Probed | Sampled):
            self.probes += 1
            if self.probes % self.every:
                return ""
        self.count += 1
        return self.strike(self.count - 1, thing)

    def strike(self, point: int, thing: HostWish | Fact) -> str:
        """How it is broken; "" is not at all."""
        return self.breaks.get(point, "")

    def wish(self, wish: HostWish) -> bool:
        return self._next(wish) != "lose"

    def answer(self, fact: Fact) -> tuple[float, ...]:
        how = self._next(fact)
        usual = {"lose": (), "late": (0.7,), "later": (33.0,), "double": (0.0, 0.4)}
        if how == "fail" and isinstance(fact, Spawned | SpawnFailed):
            self.failing = True
        return usual.get(how, (0.0,))


class Course:
    """The course of events, with these breaks."""

    first = FIRST
    ready_s = 0.1
    every = 7
    up = {
        "db": "ready",
        "api": "ready",
        "new": "ready",
        "train": "done",
        "kept": "ready",
        "told": "ready",
        "swap": "ready",
        "asks": "ready",
    }
    """Where each service comes to rest."""

    def __init__(self, breaks: dict[int, str], faults: Breaks | None = None) -> None:
        self.faults = faults or Breaks(breaks, every=self.every)
        self.world = World(self._behave, self.faults)

    def _behave(self, service: str, nth: int) -> Behaviour:
        children = 2 if service == "api" else 0
        ends = 0.4 if service == "train" else None
        failed, self.faults.failing = self.faults.failing, False
        return Behaviour(
            spawn_fails="fork" if failed else "",
            ready_s=self.ready_s,
            exit_s=ends,
            code=1 if service == "train" and nth == 0 else 0,
            children=children,
            leaves_s=0.05,
        )

    def run(self) -> None:
        world = self.world
        goals = tuple((line.split()[1], True) for line in self.first)
        world.step(PlanApplied(notation.plan(1, list(self.first)), goals))
        world.run(1.0)
        self._crash_db(world.host)
        world.run(2.5)
        self._change(world)
        self._rest()
        self._end()

    def _change(self, world: World) -> None:
        world.step(PlanApplied(notation.plan(2, list(SECOND)), (("new", True),)))
        world.run(4.0)
        world.step(WatchedChanged(("new", "kept", "told", "swap")))
        world.run(5.0)

    def _crash_db(self, host: SimHost) -> None:
        if host.living("db"):
            host.end("db", 1)

    def _rest(self) -> None:
        world, checks = self.world, self.world.checks
        assert checks is not None
        until = world.now + 300.0
        while (why := checks.unsettled()) or self._phases() != self.up:
            if world.now > until:
                raise Broken(f"the world does not come to rest: {self._phases()} " + "; ".join(why))
            world.run(world.now + 5.0)

    def _phases(self) -> dict[str, str]:
        return {name: unit.phase.value for name, unit in self.world.engine.units.items()}

    def _end(self) -> None:
        world = self.world
        world.step(CloseAsked(5))
        world.run(world.now + 100.0)
        verdict = world.engine.verdict()
        if (verdict.phase, verdict.code) != ("finished", 5):
            raise Broken(f"closed with 5, the verdict is {verdict}")
        if any(p.lives for p in world.host.processes.values()):
            raise Broken("something lives after the end")


class Short(Course):
    """The heart of it, so short that every pair of faults can be tried (`every_pair`): a server, one that is bound to
    it, a job, a crash, a reload that restarts one, replaces one, adds one and removes one, the end."""

    first = (
        "server db ports=8000-8009 ready=log stall=5 grace=1 backoff=0.2",
        "server api v=1 ports=8100-8109 needs=db:ready! uses=db grace=1 backoff=0.2",
        "job train needs=api:ready policy=on-failure max=3 grace=1 backoff=0.2",
        "server swap v=1 ports=8400-8409 ready=log stall=5 grace=1 backoff=0.2 change=replace",
        "server gone grace=1 backoff=0.2",
    )
    second = (
        "server db ports=8000-8009 ready=log stall=5 grace=1 backoff=0.2",
        "server api v=2 ports=8100-8109 needs=db:ready! uses=db grace=1 backoff=0.2",
        "job train needs=api:ready policy=on-failure max=3 grace=1 backoff=0.2",
        "server swap v=2 ports=8400-8409 ready=log stall=5 grace=1 backoff=0.2 change=replace",
        "server new ports=8200-8209 needs=db:started grace=1 backoff=0.2",
    )
    ready_s = 0.05
    every = 1
    up = {"db": "ready", "api": "ready", "train": "done", "swap": "ready", "new": "ready"}

    def _change(self, world: World) -> None:
        world.step(PlanApplied(notation.plan(2, list(self.second)), (("new", True),)))
        world.run(4.0)


def points(kind: type[Course] = Course) -> int:
    """How many answers and wishes there are to break."""
    course = kind({})
    course.run()
    return course.faults.count


def pairs(kind: type[Course]) -> list[dict[int, str]]:
    """Every fault at every point together with every fault at every later one."""
    singles = [(point, way) for point in range(points(kind)) for way in WAYS]
    found = itertools.combinations(singles, 2)
    return [dict(pair) for pair in found if pair[0][0] != pair[1][0]]


def run(breaks: dict[int, str], kind: type[Course] = Course) -> None:
    """AssertionError with the breaks and everything that happened."""
    course = kind(breaks)
    try:
        course.run()
    except (AssertionError, KeyError, AttributeError, TypeError) as error:
        raise Broken(
            f"{type(error).__name__}: {error}\nbroken: {breaks}\n{course.world.transcript()}"
        ) from error
