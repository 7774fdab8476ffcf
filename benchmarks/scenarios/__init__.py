"""Every scenario, in the order in which they are measured."""

from __future__ import annotations

from benchmarks.model import Scenario
from benchmarks.scenarios import chain, commands, crash, edit, growth, idle, output, ports, start, stop

SCENARIOS: tuple[Scenario, ...] = tuple(
    module.SCENARIO for module in (edit, start, stop, commands, crash, chain, idle, ports, growth, output)
)


def by_key(key: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.key == key)
