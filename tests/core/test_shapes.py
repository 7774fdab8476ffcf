"""Stacks of unusual shape: what is asked about a service goes to all that it waits for, or is bound to, and to each once."""

from __future__ import annotations

import random

import pytest

from launchpad.core.facts import CloseAsked, PlanApplied
from launchpad.core.model import Phase
from launchpad.core.stuck import is_stuck, stuck
from launchpad.hosts.sim import Behaviour
from tests.sim import notation
from tests.sim.world import World

LONG, HIGH = 400, 40


def chain(mark: str) -> list[str]:
    """Each waits for the one before: deeper than Python likes to call."""
    return [f"server s{i}" + (f" needs=s{i - 1}:ready{mark}" if i else "") for i in range(LONG)]


def ladder(mark: str) -> list[str]:
    """Each waits for both of the step below: more ways down than anybody can go."""
    needs = [f" needs=a{i - 1}:ready{mark},b{i - 1}:ready{mark}" if i else "" for i in range(HIGH)]
    return [f"server {name}{i}{words}" for i, words in enumerate(needs) for name in "ab"]


SHAPES = {"chain": chain(""), "bound chain": chain("!"), "ladder": ladder(""), "bound ladder": ladder("!")}


def begin(lines: list[str], broken: str = "") -> World:
    """All of it wanted; one of which cannot be started."""
    bad, good = Behaviour(spawn_fails="exec", fails_finally=True), Behaviour()
    world = World(lambda name, nth: bad if name == broken else good, checked=False)
    plan = notation.plan(1, lines)
    world.step(PlanApplied(plan, tuple((service.name, True) for service in plan.services)))
    return world


@pytest.mark.parametrize("shape", SHAPES)
def test_it_comes_up_and_ends(shape: str) -> None:
    world = begin(SHAPES[shape])
    assert world.engine.verdict().phase == "starting"
    world.run(1000.0)
    assert world.engine.verdict().phase == "up"
    world.step(CloseAsked(0))
    world.run(world.now + 1000.0)
    assert world.engine.verdict().phase == "finished"


@pytest.mark.parametrize("shape", SHAPES)
def test_what_fails_at_the_bottom_blocks_the_top(shape: str) -> None:
    names = [line.split()[1] for line in SHAPES[shape]]
    world = begin(SHAPES[shape], broken=names[0])
    world.run(1.0)
    verdict = world.engine.verdict()
    assert (verdict.phase, verdict.failed) == ("finished" if "chain" in shape else "degraded", (names[0],))
    assert len(verdict.blocked) == len(names) - (1 if "chain" in shape else 2)
    assert world.engine.holds(world.now)[names[-1]][0].kind == "failed-need"


def test_all_at_once_is_the_same_as_each() -> None:
    """Which are blocked, in states of every kind."""
    rng, some = random.Random(7), 0
    for _ in range(300):
        lines = []
        for i in range(rng.randint(1, 9)):
            needs = dict.fromkeys(f"s{rng.randrange(i)}:ready" for _ in range(rng.randint(0, 3)) if i)
            lines.append(f"server s{i}" + (f" needs={','.join(needs)}" if needs else ""))
        world = begin(lines)
        state = world.engine.state
        for unit in state.units.values():
            unit.phase = rng.choice((Phase.IDLE, Phase.IDLE, Phase.READY, Phase.FAILED, Phase.STARTING))
            unit.goal = rng.random() < 0.8
        each = tuple(u.name for u in state.units.values() if u.wanted and is_stuck(state, u))
        known = stuck(state)
        assert tuple(u.name for u in state.units.values() if u.wanted and u.name in known) == each
        some += len(each)
    assert some > 100
