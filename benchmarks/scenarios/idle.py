"""What it costs while nothing happens: processor and memory."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.adapters.base import Adapter
from benchmarks.free import free_ports
from benchmarks.model import Column, Failed, Measure, Sample, Scenario, Service, everybody
from benchmarks.processes import cpu_s, pss_mb
from benchmarks.run import Run


def columns(quick: bool) -> list[Column]:
    window = {"window_s": 3.0 if quick else 6.0}
    counts = (1, 100) if quick else (1, 100, 500)
    probed = Column(
        "100 services, http liveness every 5 s",
        {"n": 100, "probed": True, "window_s": 10.0 if quick else 15.0},
    )
    return [*(Column(f"{n} services", {"n": n, **window}) for n in counts), probed]


def measure(adapter: Adapter, options: dict[str, Any]) -> list[Sample]:
    n = options["n"]
    if n > adapter.most_services:
        raise Failed(f"no more than {adapter.most_services} services")
    if options.get("probed") and "alive" in adapter.lacks:
        raise Failed(adapter.lacks["alive"])
    with Run(adapter) as run:
        if options.get("probed"):
            run.begin(probed(run, n))
            run.wait(n, "answered")
        else:
            run.begin(run.idlers(n))
        own = run.own()
        run.settle(lambda: cpu_s(own))
        own = run.own()
        before, began = cpu_s(own), time.monotonic()
        time.sleep(options["window_s"])  # the window that is measured
        percent = (cpu_s(own) - before) / (time.monotonic() - began) * 100
        return [{"cpu": percent, "memory": pss_mb(own)}]


def probed(run: Run, count: int) -> list[Service]:
    return [
        Service(f"s{i}", run.actor(f"s{i}", "serve", 0, port), port=port, alive_s=5.0)
        for i, port in enumerate(free_ports(count))
    ]


SCENARIO = Scenario(
    key="f",
    title="Idling",
    about=(
        "What the launcher with its helpers costs while its services do nothing: share of one core (by the "
        "scheduler's own account, not by ticks), and memory (PSS). Then with http liveness checks."
    ),
    measures=(Measure("cpu", "processor", "%", 2), Measure("memory", "memory", "MB")),
    rows=everybody,
    columns=columns,
    measure=measure,
    rounds=(3, 1),
    limit_s=120.0,
    plotted=("memory", "100 services"),
)
