"""How many probes of one check may be under way, and when people are told of what they see."""

from __future__ import annotations

from launchpad.core.facts import PlanApplied
from launchpad.core.model import Check, CheckKind, Seen
from launchpad.core.state import flying_limit
from launchpad.core.wishes import Probe
from launchpad.hosts.sim import Behaviour, Process
from tests.sim import notation
from tests.sim.world import World


def test_a_request_that_is_work_is_made_once_at_a_time() -> None:
    assert flying_limit(Check(CheckKind.HTTP)) > 1
    assert flying_limit(Check(CheckKind.HTTP, content=("{}",))) == 1
    assert flying_limit(Check(CheckKind.EXEC, argv=(("x",),))) == 1


def is_told(*, busy_until_s: float, after_s: float) -> bool:
    """Of a server that opened another port than the one that it was given, and is not ready."""
    world = World(lambda name, nth: Behaviour(ready_s=None, busy_until_s=busy_until_s))

    def sight(process: Process, wish: Probe, ok: bool) -> Seen:
        return Seen("elsewhere", "listens on another port") if wish.look else Seen("refused", "refused")

    world.host._sight = sight  # type: ignore[method-assign]
    plan = notation.plan(1, ["server llm ready=http stall=300 ports=8000"])
    world.step(PlanApplied(plan, (("llm", True),)))
    world.run(after_s)
    (unit,) = world.engine.state.units.values()
    assert unit.sights[-1].kind == "elsewhere"
    return unit.sights[-1].sure


def test_who_loads_may_have_opened_a_port_of_its_own_first() -> None:
    assert is_told(busy_until_s=0, after_s=6)
    assert not is_told(busy_until_s=120, after_s=110)
    assert is_told(busy_until_s=120, after_s=140)
