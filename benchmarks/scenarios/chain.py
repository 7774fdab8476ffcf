"""Ten servers, each started when the one before answers 200."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from benchmarks.adapters.base import Adapter
from benchmarks.free import free_ports
from benchmarks.model import Measure, Row, Sample, Scenario, Service, once
from benchmarks.run import Run

LINKS, READY_MS = 10, 100


def rows(adapters: Sequence[Adapter]) -> list[Row]:
    return [Row(adapter.name, adapter.name) for adapter in adapters if adapter.only_for in ("", "readiness")]


def measure(adapter: Adapter, options: dict[str, Any]) -> list[Sample]:
    with Run(adapter) as run:
        ports = free_ports(LINKS)
        services = [
            Service(
                f"s{i}", run.actor(f"s{i}", "serve", READY_MS, port), port=port,
                needs=(f"s{i - 1}",) if i else (),
            )
            for i, port in enumerate(ports)
        ]  # fmt: skip
        run.start(services)
        listening = {mark.name: mark for mark in run.wait(LINKS, "listening")}
        answered = {mark.name: mark for mark in run.wait(LINKS - 1, "answered")}
        started = {mark.name: mark for mark in run.read("start")}
        names = [service.name for service in services]
        own_ns = sum(listening[name].ns - started[name].ns for name in names)
        total = (listening[names[-1]].ns - run.began_ns - own_ns) / 1e6
        pairs = list(itertools.pairwise(names))
        return [
            {"overhead": total},
            *({"latency": (started[then].ns - answered[first].ns) / 1e6} for first, then in pairs),
            *({"listening": (started[then].ns - listening[first].ns) / 1e6} for first, then in pairs),
        ]


SCENARIO = Scenario(
    key="b",
    title="A chain of servers",
    about=(
        "10 servers, each begins to answer http 100 ms after its start, and each is started when the one before "
        "answers 200. Overhead: from the exec of the launcher until the last one listens, minus the servers' own "
        "time. Latency: from the first 200 that a server gave to the exec of the one that waited for it; and the same "
        "from the moment in which it began to listen, which includes the time until somebody asked."
    ),
    measures=(
        Measure("overhead", "overhead, whole chain", "ms"),
        Measure("latency", "first 200 → dependent", "ms", 1, p95=True),
        Measure("listening", "listens → dependent", "ms", 1),
    ),
    rows=rows,
    columns=once,
    measure=measure,
    needs="readiness",
    rounds=(7, 2),
)
