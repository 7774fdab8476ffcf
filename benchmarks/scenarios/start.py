"""From the exec of the launcher to the last of N trivial children."""

from __future__ import annotations

from typing import Any

from benchmarks.adapters.base import Adapter
from benchmarks.model import Column, Failed, Measure, Sample, Scenario, everybody
from benchmarks.run import Run


def columns(quick: bool) -> list[Column]:
    return [Column(f"{n} services", {"n": n}) for n in ((1, 10, 100) if quick else (1, 10, 100, 500))]


def measure(adapter: Adapter, options: dict[str, Any]) -> list[Sample]:
    if options["n"] > adapter.most_services:
        raise Failed(f"no more than {adapter.most_services} services")
    with Run(adapter) as run:
        marks = run.begin(run.idlers(options["n"]))
        run.still_there()
        return [{"last": (marks[-1].ns - run.began_ns) / 1e6}]


SCENARIO = Scenario(
    key="a",
    title="Starting",
    about="From the exec of the launcher until the last of N children, which do nothing, has begun to run.",
    measures=(Measure("last", "last child runs", "ms"),),
    rows=everybody,
    columns=columns,
    measure=measure,
    plotted=("last", "100 services"),
)
