"""What every host owes the core, held against the simulated host and against this machine."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from msgspec.structs import replace

from launchpad.core.facts import (
    Exited,
    GpusFreed,
    PortsLeased,
    PortsRefused,
    Probed,
    Sampled,
    Spawned,
    SpawnFailed,
    TreeGone,
)
from launchpad.core.model import GpuNeed, Lease, PortRequest
from launchpad.core.wishes import AbandonPorts, LeasePorts, Probe, ReleasePorts, Sample, Signal
from tests.contract.worlds import Actor, Real, Simulated, World

F = TypeVar("F")


@pytest.fixture(params=["simulated", "real"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made: World = Simulated() if request.param == "simulated" else Real(tmp_path)
    yield made
    made.close()


def fact(world: World, kind: type[F], attempt: int | None = None) -> F:
    """The first fact of this kind, once it is told."""

    def find() -> F | None:
        return next((f for f in world.facts if isinstance(f, kind) and attempt in (None, _attempt(f))), None)

    return world.until(find)


def _attempt(value: object) -> object:
    return getattr(value, "attempt", None)


def count(world: World, kind: type) -> int:
    return sum(isinstance(f, kind) for f in world.facts)


def lease(world: World, batch: int, *requests: PortRequest, preferred: tuple[Lease, ...] = ()) -> object:
    world.submit(LeasePorts(batch, requests, preferred))
    return world.until(
        lambda: next(
            (f for f in world.facts if isinstance(f, PortsLeased | PortsRefused) and f.batch == batch), None
        )
    )


def test_a_process_that_ends_is_told_with_its_code(world: World) -> None:
    world.spawn("job", 1, Actor(exit=3))
    assert fact(world, Spawned).handle.pid > 0
    assert fact(world, Exited) == Exited("job", 1, 3, 0)
    assert world.facts.index(fact(world, Spawned)) < world.facts.index(fact(world, Exited))


def test_a_program_that_does_not_exist_fails_for_good(world: World) -> None:
    world.spawn("job", 1, Actor(missing=True))
    failed = fact(world, SpawnFailed)
    assert (failed.service, failed.attempt, failed.stage, failed.final) == ("job", 1, "exec", True)
    assert not count(world, Spawned)


def test_sigterm_to_the_main_process_ends_it(world: World) -> None:
    world.spawn("llm", 1, Actor())
    world.submit(Signal("llm", 1, fact(world, Spawned).handle, signal.SIGTERM))
    assert fact(world, Exited) == Exited("llm", 1, -signal.SIGTERM, 0)


def test_sigkill_to_the_tree_ends_what_is_deaf(world: World) -> None:
    world.spawn("llm", 1, Actor(deaf=True))
    handle = fact(world, Spawned).handle
    world.submit(Signal("llm", 1, handle, signal.SIGTERM))
    world.submit(Signal("llm", 1, handle, signal.SIGKILL, "tree"))
    world.until(lambda: count(world, Exited) or count(world, TreeGone))
    assert not [f for f in world.facts if isinstance(f, Exited) and f.code >= 0]


def test_what_a_process_leaves_behind_is_counted_and_swept(world: World) -> None:
    world.spawn("llm", 1, Actor(exit=0, children=2))
    exited = fact(world, Exited)
    assert (exited.code, exited.left) == (0, 2)
    assert not count(world, TreeGone), "they live"
    world.submit(Signal("llm", 1, fact(world, Spawned).handle, signal.SIGKILL, "tree"))
    assert fact(world, TreeGone) == TreeGone("llm", 1)


def test_a_tree_that_is_not_there_is_gone(world: World) -> None:
    world.submit(Signal("llm", 77, None, signal.SIGKILL, "tree"))
    assert fact(world, TreeGone) == TreeGone("llm", 77)


def test_ports_are_leased_all_or_none(world: World) -> None:
    wide = PortRequest("a", "main", 23100, 23119)
    first = lease(world, 1, wide)
    assert isinstance(first, PortsLeased)
    number = first.leases[0].number
    refused = lease(
        world, 2, PortRequest("b", "main", 23120, 23139), PortRequest("c", "main", number, number)
    )
    assert isinstance(refused, PortsRefused)
    assert [r.service for r in refused.refusals] == ["c"]
    assert refused.refusals[0].notes, "it says who has it"
    again = lease(world, 3, PortRequest("d", "main", 23120, 23120))
    assert isinstance(again, PortsLeased), "nothing of the refused batch was kept"


def test_a_port_had_before_is_preferred(world: World) -> None:
    had = Lease("a", "main", 23155, "127.0.0.1")
    answer = lease(world, 1, PortRequest("a", "main", 23140, 23159), preferred=(had,))
    assert answer == PortsLeased(1, (had,))


def test_a_released_port_is_given_to_the_same_service_again(world: World) -> None:
    request = PortRequest("a", "main", 23160, 23160)
    first = lease(world, 1, request)
    assert isinstance(first, PortsLeased)
    world.submit(ReleasePorts(first.leases))
    assert isinstance(lease(world, 2, request), PortsLeased)


def test_what_is_avoided_is_not_given_also_where_it_is_held(world: World) -> None:
    """A replacement needs another port of the same name, and both are held."""
    request = PortRequest("a", "main", 23170, 23171)
    first = lease(world, 1, request)
    assert isinstance(first, PortsLeased)
    other = PortRequest("a", "main", 23170, 23171, avoid=(first.leases[0].number,), beside=True)
    second = lease(world, 2, other)
    assert isinstance(second, PortsLeased)
    assert {first.leases[0].number, second.leases[0].number} == {23170, 23171}
    assert lease(world, 3, other) == PortsLeased(3, second.leases), "asked for again, it is the same"
    none = lease(world, 4, PortRequest("a", "main", 23170, 23171, avoid=(23170, 23171), beside=True))
    assert isinstance(none, PortsRefused)
    assert none.refusals[0].beside


def test_what_nobody_waits_for_any_more_is_let_go(world: World) -> None:
    def asked(service: str) -> PortRequest:
        return PortRequest(service, "main", 23175, 23175)

    first = lease(world, 1, asked("first"))
    world.submit(AbandonPorts(1))
    assert isinstance(first, PortsLeased)
    assert isinstance(lease(world, 2, asked("second")), PortsLeased), "it was let go"
    world.submit(ReleasePorts((replace(first.leases[0], service="second"),)))
    world.submit(LeasePorts(3, (asked("third"),)), AbandonPorts(3))
    fourth = lease(world, 4, asked("fourth"))
    assert isinstance(fourth, PortsLeased), "also where the answer was still to come"
    plan = lease(world, -1, asked("fourth"))
    assert isinstance(plan, PortsLeased)
    assert plan.leases == fourth.leases
    world.submit(AbandonPorts(4))
    assert isinstance(lease(world, 5, asked("fifth")), PortsRefused), "somebody else was told of it"


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Their names."""
    mine = uuid.uuid4().hex[:8]
    names = [f"GPU-{mine}-{number}" for number in range(4)]
    monkeypatch.setenv("LAUNCHPAD_GPUS", ",".join(f"{name}:80GB" for name in names))
    return names


def gpus(service: str, count: int, *, wait: bool = False) -> tuple[PortRequest, ...]:
    need = GpuNeed(wait=wait)
    return tuple(PortRequest(service, f"gpus/{at}", 0, 9999, "", gpu=need) for at in range(count))


@pytest.mark.usefixtures("four_gpus")
def test_gpus_are_leased_with_the_ports_all_or_none(world: World) -> None:
    port = PortRequest("a", "main", 23180, 23180)
    first = lease(world, 1, port, *gpus("a", 2))
    assert isinstance(first, PortsLeased)
    assert [(one.name, one.number) for one in first.leases] == [("main", 23180), ("gpus/0", 0), ("gpus/1", 1)]
    assert all(one.gpu for one in first.leases[1:])
    refused = lease(world, 2, PortRequest("b", "main", 23181, 23181), *gpus("b", 1), *gpus("c", 2))
    assert isinstance(refused, PortsRefused)
    assert len({one.service for one in refused.refusals}) == 1
    assert all(one.gpus and not one.never and one.notes for one in refused.refusals)
    assert all(one.holders[:2] == ("a", "a") and len(one.holders) == 4 for one in refused.refusals)
    other = lease(world, 3, PortRequest("d", "main", 23181, 23181), *gpus("d", 2))
    assert isinstance(other, PortsLeased), "neither the port nor the GPU of the refused batch was kept"
    never = lease(world, 4, *gpus("e", 5, wait=True))
    assert isinstance(never, PortsRefused)
    assert all(one.never for one in never.refusals)


@pytest.mark.usefixtures("four_gpus")
def test_who_waits_for_a_gpu_is_no_reason_to_refuse_the_others(world: World) -> None:
    first = lease(
        world, 1, *gpus("late", 2, wait=True), PortRequest("a", "main", 23182, 23182), *gpus("a", 3)
    )
    assert isinstance(first, PortsLeased)
    assert [one.service for one in first.leases] == ["a"] * 4
    assert [(one.service, one.gpus) for one in first.waiting] == [("late", 2)] * 2
    world.submit(ReleasePorts(first.leases))
    second = lease(world, 2, *gpus("late", 2, wait=True))
    assert isinstance(second, PortsLeased)
    assert ([one.number for one in second.leases], second.waiting) == ([0, 1], ())


def test_who_waits_for_a_gpu_is_told_of_it_whatever_was_asked_since(
    world: World, four_gpus: list[str]
) -> None:
    for number, name in enumerate(four_gpus[:3]):
        world.take_gpu(name, number)
    (first,) = gpus("first", 1, wait=True)
    waits = lease(world, 1, replace(first, low=0, high=0))
    assert isinstance(waits, PortsLeased)
    assert len(waits.waiting) == 1
    assert isinstance(lease(world, 2, *gpus("refused", 2)), PortsRefused)
    assert isinstance(lease(world, 3, *gpus("granted", 1)), PortsLeased)
    (other,) = gpus("other", 1, wait=True)
    assert isinstance(lease(world, 4, replace(other, low=1, high=1)), PortsLeased)
    assert count(world, GpusFreed) == 0
    world.free_gpu(four_gpus[0], 0)
    fact(world, GpusFreed)


def test_each_probe_is_answered_with_its_number(world: World) -> None:
    leased = lease(world, 1, PortRequest("llm", "main", 23180, 23199))
    assert isinstance(leased, PortsLeased)
    port = leased.leases[0]
    world.spawn("llm", 5, Actor(serves=True), leased.leases)
    fact(world, Spawned)
    seen: list[Probed] = []
    while not seen or not seen[-1].ok:
        number = len(seen) + 1
        world.submit(Probe("llm", 5, "ready", number, world.probing(port)))
        seen.append(world.until(lambda n=number: _probed(world, n)))  # type: ignore[misc]
        assert len(seen) < 5000, f"never ready; last saw {seen[-1].seen}"
    assert (seen[-1].service, seen[-1].attempt, seen[-1].check, seen[-1].seen.kind) == (
        "llm",
        5,
        "ready",
        "ok",
    )
    world.submit(Signal("llm", 5, fact(world, Spawned).handle, signal.SIGKILL, "tree"))
    fact(world, Exited)


def _probed(world: World, number: int) -> Probed | None:
    return next((f for f in world.facts if isinstance(f, Probed) and f.seq == number), None)


def test_signs_of_life_are_told_when_asked(world: World) -> None:
    world.spawn("llm", 1, Actor())
    fact(world, Spawned)
    world.submit(Sample("llm", 1))
    sampled = fact(world, Sampled)
    assert sampled.cpu_s >= 0
    assert sampled.output_bytes >= 0
    world.submit(Signal("llm", 1, fact(world, Spawned).handle, signal.SIGKILL, "tree"))
    fact(world, Exited)


def test_two_attempts_of_one_service_are_told_apart(world: World) -> None:
    """As while one of them replaces the other: signals, signs, ends and probes find the right one."""
    first = lease(world, 1, PortRequest("llm", "main", 23200, 23201))
    assert isinstance(first, PortsLeased)
    number = first.leases[0].number
    second = lease(world, 2, PortRequest("llm", "main", 23200, 23201, avoid=(number,), beside=True))
    assert isinstance(second, PortsLeased)
    world.spawn("llm", 1, Actor(serves=True), first.leases)
    old = fact(world, Spawned, 1)
    world.spawn("llm", 2, Actor(serves=True), second.leases)
    new = fact(world, Spawned, 2)
    assert old.handle.pid != new.handle.pid
    world.submit(Signal("llm", 1, old.handle, signal.SIGKILL, "tree"))
    assert fact(world, Exited, 1).attempt == 1
    world.submit(ReleasePorts(first.leases))
    seen: list[Probed] = []
    while not seen or not seen[-1].ok:
        seq = len(seen) + 1
        world.submit(Probe("llm", 2, "ready", seq, world.probing(second.leases[0])))
        seen.append(world.until(lambda n=seq: _probed(world, n)))  # type: ignore[misc]
        assert len(seen) < 5000, f"never ready; last saw {seen[-1].seen}"
    world.submit(Sample("llm", 2))
    assert fact(world, Sampled, 2).output_bytes >= 0
    assert not [f for f in world.facts if isinstance(f, Exited) and f.attempt == 2]
    world.submit(Signal("llm", 2, new.handle, signal.SIGKILL, "tree"))
    fact(world, Exited, 2)
