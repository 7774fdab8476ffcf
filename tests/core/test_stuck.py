"""Who cannot start, in stacks of many layers: each is looked at once, however many ways lead through them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from launchpad.core import identity, stuck
from launchpad.core.engine import Engine
from launchpad.core.facts import Exited, PlanApplied, Spawned
from launchpad.core.model import Handle, Phase
from tests.sim import notation


def started(lines: list[str]) -> Engine:
    engine = Engine(1)
    plan = notation.plan(1, lines)
    engine.step(0.0, [PlanApplied(plan, tuple((one.name, True) for one in plan.services))])
    return engine


def layers(depth: int, width: int, bound: bool = False) -> list[str]:
    """Each server of a layer needs all those of the one before."""
    mark = "!" if bound else ""
    lines = []
    for layer in range(depth):
        needs = ",".join(f"s{layer - 1}x{one}{mark}" for one in range(width)) if layer else ""
        lines += [f"server s{layer}x{one}" + (f" needs={needs}" if needs else "") for one in range(width)]
    return lines


def counted(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> list[None]:
    calls: list[None] = []
    real: Callable[..., Any] = getattr(module, name)

    def count(*args: Any) -> Any:
        calls.append(None)
        assert len(calls) < 100_000, "as many looks as there are ways through the layers"
        return real(*args)

    monkeypatch.setattr(module, name, count)
    return calls


def test_layers_are_looked_at_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = started(layers(12, 6))
    calls = counted(monkeypatch, stuck, "satisfied")
    held = engine.holds(1.0)
    assert engine.verdict().phase == "starting"
    assert [hold.on for hold in held["s11x0"]] == [f"s10x{one}" for one in range(6)]
    assert len(calls) <= 3 * 11 * 6 * 6


def test_a_chain_deeper_than_python_recurses() -> None:
    engine = started(["job s0", *(f"job s{one} needs=s{one - 1}:done" for one in range(1, 3000))])
    attempt = engine.units["s0"].attempt
    engine.step(1.0, [Spawned("s0", attempt, Handle(7)), Exited("s0", attempt, 1)])
    verdict = engine.verdict()
    assert (verdict.phase, verdict.code, len(verdict.blocked)) == ("finished", 1, 2999)
    assert engine.holds(2.0)["s2999"][0].text == "cannot start: `s2998` cannot"


def test_what_is_bound_in_layers_is_looked_at_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = started(layers(10, 4, bound=True))
    while to_come := [unit for unit in engine.units.values() if unit.phase is Phase.SPAWNING]:
        engine.step(1.0, [Spawned(unit.name, unit.attempt, Handle(unit.attempt)) for unit in to_come])
    last = engine.units["s9x0"]
    assert last.phase is Phase.READY
    calls = counted(monkeypatch, identity, "stale")
    assert not identity.doomed(engine.state, last)
    assert len(calls) == 1 + 9 * 4
    engine.units["s0x3"].nonce += 1
    assert identity.doomed(engine.state, last)
