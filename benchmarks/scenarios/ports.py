"""Five launchers at once, which want ports of one range."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import Any

from benchmarks.adapters.base import Adapter
from benchmarks.free import free_ports
from benchmarks.model import Measure, Sample, Scenario, Service, everybody, once
from benchmarks.run import Run

LAUNCHERS, SERVICES, PORTS = 5, 4, 100


def measure(adapter: Adapter, options: dict[str, Any]) -> list[Sample]:
    first = free_ports(PORTS)[0]
    with ExitStack() as stack:
        runs = [stack.enter_context(Run(adapter)) for _ in range(LAUNCHERS)]
        for run in runs:
            names = [f"s{i}" for i in range(SERVICES)]
            wanted = f"{first}-{first + PORTS - 1}"
            run.start([Service(name, run.actor(name, "claim"), port_range=wanted) for name in names])
        said = []
        for run in runs:
            said += run.wait(SERVICES, "claimed")
        given = Counter(mark.extra for mark in said)
        return [{"collisions": sum(count - 1 for count in given.values())}]


SCENARIO = Scenario(
    key="h",
    title="Ports",
    about=(
        f"{LAUNCHERS} launchers of {SERVICES} services each start at once. launchpad is given one range of {PORTS} "
        "ports for all; the others count from a number of their own, the same in each. How often a port was given "
        "that another service had been given."
    ),
    measures=(Measure("collisions", "ports given twice", ""),),
    rows=everybody,
    columns=once,
    measure=measure,
    needs="ports",
    rounds=(20, 3),
)
