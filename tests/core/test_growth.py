"""What a step costs: that which is around what moved; and of the whole stack no more than in proportion to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launchpad.core.facts import CloseAsked, PlanApplied, RestartAsked
from launchpad.hosts.sim import Behaviour
from tests.sim import notation
from tests.sim.world import World
from tests.steps import steps

FEW, MANY = 40, 160


def lines(count: int) -> list[str]:
    """Pairs: one needs the other, and is told its address; of one environment."""
    words = "ready=http interval=10 env=e"
    return [
        f"server s{i} ports=main:{8000 + i} {words}{f' needs=s{i - 1}:ready uses=s{i - 1}' if i % 2 else ''}"
        for i in range(count)
    ]


def begun(count: int) -> World:
    world = World(lambda name, nth: Behaviour(ready_s=0.0), checked=False)
    plan = notation.plan(1, lines(count))
    world.step(PlanApplied(plan, tuple((service.name, True) for service in plan.services)))
    return world


def up(count: int) -> World:
    world = begun(count)
    world.run(1.0)
    assert world.engine.verdict().phase == "up"
    return world


def start(count: int) -> int:
    return steps(lambda: up(count), "core")


def restart(count: int) -> int:
    world = up(count)

    def work() -> None:
        world.step(RestartAsked(("s0",)))
        world.run(2.0)

    return steps(work, "core")


def failure(count: int) -> int:
    world = up(count)

    def work() -> None:
        world.host.end("s0", 1)
        world.run(1.2)

    return steps(work, "core")


def quiet(count: int) -> int:
    """A probe of one of them is due."""
    world = up(count)
    unit = world.engine.units["s0"]
    unit.ready.next_at = 1.5
    world.engine.state.changed[unit.key] = None
    world.step()
    return steps(lambda: world.run(2.0), "core")


def edit(count: int) -> int:
    """Of one of them, until it serves again; the last, which nobody needs."""
    world, text = up(count), lines(count)
    plan = notation.plan(2, [*text[:-1], text[-1].replace("interval=10", "interval=10 v=2")])
    goals = tuple((service.name, True) for service in plan.services)

    def work() -> None:
        world.step(PlanApplied(plan, goals))
        world.run(2.0)

    return steps(work, "core")


def close(count: int) -> int:
    world = up(count)

    def work() -> None:
        world.step(CloseAsked(0))
        world.run(10.0)

    return steps(work, "core")


def remove(count: int) -> int:
    """All but one."""
    world = up(count)

    def work() -> None:
        world.step(PlanApplied(notation.plan(2, lines(1))))
        world.run(10.0)
        assert list(world.engine.units) == ["s0"]

    return steps(work, "core")


@pytest.mark.parametrize("what", [restart, failure, quiet])
def test_one_of_many_costs_what_one_of_few_does(what: Callable[[int], int]) -> None:
    few, many = what(FEW), what(MANY)
    assert few > 0
    assert many <= 1.2 * few


@pytest.mark.parametrize("what", [start, edit, close, remove])
def test_four_times_the_services_are_four_times_the_steps(what: Callable[[int], int]) -> None:
    few, many = what(FEW), what(MANY)
    assert few > 0
    assert many <= 4.5 * few
