"""Ports as the runtime and the core divide the work: numbers had before, and leases made before a plan is applied."""

from __future__ import annotations

from launchpad.core.engine import Engine
from launchpad.core.facts import Exited, PlanApplied, PortsLeased, PortsRefused, Spawned, SpawnFailed
from launchpad.core.model import Handle, Lease, Phase
from launchpad.core.wishes import LeasePorts, ReleasePorts, Spawn, Wish
from tests.sim import notation
from tests.sim.world import World


def only(kind: type[Wish], wishes: list[Wish]) -> list[Wish]:
    return [wish for wish in wishes if isinstance(wish, kind)]


def test_numbers_had_before_are_asked_for_again() -> None:
    before = Lease("llm", "main", 8007, "127.0.0.1")
    engine = Engine(2, [before, Lease("other", "main", 9000, "127.0.0.1")])
    plan = notation.plan(1, ["server llm ports=8000-8009"])
    (wish,) = only(LeasePorts, engine.step(0.0, [PlanApplied(plan, (("llm", True),))]))
    assert isinstance(wish, LeasePorts)
    assert wish.preferred == (before,)


def up(line: str) -> World:
    world = World()
    world.step(PlanApplied(notation.plan(1, [line]), (("llm", True),)))
    world.run(1.0)
    assert world.phase("llm") is Phase.READY
    return world


def test_a_port_leased_before_its_plan_replaces_the_old_one_when_that_is_free() -> None:
    world = up("server llm ports=8000-8009")
    plan = notation.plan(2, ["server llm ports=9000-9009"])
    answer = world.lease(plan.services[0].ports)
    assert isinstance(answer, PortsLeased)
    assert {lease.number for lease in world.host.leases} == {8000, 9000}
    world.step(answer, PlanApplied(plan))
    world.run(3.0)
    assert [lease.number for lease in world.engine.state.leases.values()] == [9000]
    assert [lease.number for lease in world.host.leases] == [9000]
    assert world.host.current("llm").identity.leases[0].number == 9000


def test_a_refused_lease_before_a_plan_changes_nothing() -> None:
    world = up("server llm ports=8000-8009")
    world.host.taken = {9000: "a stranger"}
    steps, pid = len(world.trace), world.host.current("llm").handle
    answer = world.lease(notation.plan(2, ["server llm ports=9000"]).services[0].ports)
    assert isinstance(answer, PortsRefused)
    world.run(60.0)
    assert world.host.current("llm").handle == pid
    wishes = [wish for _, _, wishes in world.trace[steps:] for wish in wishes]
    assert not only(ReleasePorts, wishes)
    assert not only(Spawn, wishes)


def test_an_edit_that_is_taken_back_in_time_keeps_the_old_number() -> None:
    """`train` was told to leave already and comes back; `llm` waited for that, and never had to go."""
    world = World()
    lines = ["server llm ports=8000-8009", "job train needs=llm:ready uses=llm grace=5"]
    world.step(PlanApplied(notation.plan(1, lines), (("llm", True), ("train", True))))
    world.run(1.0)
    pid = world.host.current("llm").handle
    world.step(PlanApplied(notation.plan(2, ["server llm ports=9000-9009", lines[1]])))
    world.step(PlanApplied(notation.plan(3, lines)))
    world.run(3.0)
    assert [lease.number for lease in world.host.leases] == [8000]
    assert world.phase("llm") is Phase.READY
    assert world.host.current("llm").handle == pid


def test_who_is_shut_out_for_ever_is_restarted_as_any_other() -> None:
    """A host that says so again and again must not make the core start it again and again."""
    engine = Engine(1)
    plan = notation.plan(1, ["server llm ports=8000 ready=http"])
    (wish,) = only(LeasePorts, engine.step(0.0, [PlanApplied(plan, (("llm", True),))]))
    assert isinstance(wish, LeasePorts)
    wishes = engine.step(0.1, [PortsLeased(wish.batch, (Lease("llm", "main", 8000, "127.0.0.1"),))])
    for _ in range(2):
        (start,) = only(Spawn, wishes)
        assert isinstance(start, Spawn)
        ended = Exited("llm", start.attempt, 1, shut_out=True)
        wishes = engine.step(0.2, [Spawned("llm", start.attempt, Handle(7)), ended])
    assert engine.units["llm"].phase is Phase.BACKOFF
    assert len(engine.units["llm"].deaths) == 1


def test_a_port_that_is_not_free_at_a_start_is_exchanged() -> None:
    """It was let go of for the program before: somebody has it, or the remains of that one's connections."""
    engine = Engine(1)
    plan = notation.plan(1, ["server llm ports=8000-8001"])
    (wish,) = only(LeasePorts, engine.step(0.0, [PlanApplied(plan, (("llm", True),))]))
    assert isinstance(wish, LeasePorts)
    lease = Lease("llm", "main", 8000, "127.0.0.1")
    (start,) = only(Spawn, engine.step(0.1, [PortsLeased(wish.batch, (lease,))]))
    assert isinstance(start, Spawn)
    wishes = engine.step(0.2, [SpawnFailed("llm", start.attempt, "ports", "it is not free", lost=("main",))])
    assert only(ReleasePorts, wishes) == [ReleasePorts((lease,))]
    later = engine.step(1.0)
    (again,) = only(LeasePorts, [*wishes, *later])
    assert isinstance(again, LeasePorts)
    assert again.preferred == ()
