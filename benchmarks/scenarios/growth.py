"""The same with ever more services: what grows faster than their number."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from benchmarks.adapters.base import Adapter
from benchmarks.model import Column, Failed, Measure, Sample, Scenario, everybody
from benchmarks.processes import Ends, cpu_s, pss_mb
from benchmarks.run import Run

DEADLINE_S = 90.0


def columns(quick: bool) -> list[Column]:
    return [Column(f"{n}", {"n": n}) for n in ((100, 300) if quick else (10, 100, 1000, 3000))]


def measure(adapter: Adapter, options: dict[str, Any]) -> list[Sample]:
    n = options["n"]
    if n > adapter.most_services:
        raise Failed(f"no more than {adapter.most_services} services")
    with Run(adapter) as run:
        services = run.idlers(n)
        marks = run.begin(services, DEADLINE_S)
        sample = {"start": (marks[-1].ns - run.began_ns) / 1e6}
        own = run.own()
        run.settle(lambda: cpu_s(own), DEADLINE_S)
        sample["memory"] = pss_mb(run.own())
        if "status" not in adapter.lacks and (status := adapter.status_command(run.folder)):
            sample["status"] = run.call(status, DEADLINE_S)
        if "reload" not in adapter.lacks:
            sample["reload"] = reload_one(run, n)
        run.still_there()
        children = Ends(mark.pid for mark in run.read("start"))
        launcher = Ends(run.own())
        began = time.monotonic()
        run.ask_to_stop()
        if not (children.wait(began + DEADLINE_S) and launcher.wait(began + DEADLINE_S)):
            raise Failed(f"not gone {DEADLINE_S:g} s later")
        return [{**sample, "stop": (time.monotonic() - began) * 1e3}]


def reload_one(run: Run, n: int) -> float:
    """One service of them is edited; ms until its new process."""
    services = run.idlers(n)
    services[1] = replace(services[1], argv=(*services[1].argv, "edited"))
    run.adapter.write(run.folder, services)
    saved = time.monotonic_ns()
    command = run.adapter.reload_command(run.folder, services[1].name)
    asking = run.call_beside(command) if command else None
    mark = run.wait(n + 1, deadline_s=DEADLINE_S)[-1]
    if asking is not None:
        asking.wait(DEADLINE_S)
    return (mark.ns - saved) / 1e6


SCENARIO = Scenario(
    key="i",
    title="Growing",
    about=(
        "Start, edit of one service, status, stop, and memory with ever more services. The exponent is the slope of "
        "the line through the points in a plot with logarithmic axes, from 100 on: 1 is as much more as there are more "
        "services, 2 is the square."
    ),
    measures=(
        Measure("start", "start", "ms"),
        Measure("reload", "edit of one", "ms"),
        Measure("status", "status", "ms"),
        Measure("stop", "stop", "ms"),
        Measure("memory", "memory", "MB"),
    ),
    rows=everybody,
    columns=columns,
    measure=measure,
    rounds=(3, 1),
    limit_s=400.0,
    grows=True,
)
