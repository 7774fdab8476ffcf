"""From the exec of the launcher to the last of N trivial children."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.adapters.base import Adapter
from benchmarks.model import Column, Failed, Measure, Row, Sample, Scenario, everybody
from benchmarks.run import Run

AGAIN = "launchpad, the file as before"


def columns(quick: bool) -> list[Column]:
    return [Column(f"{n} services", {"n": n}) for n in ((1, 10, 100) if quick else (1, 10, 100, 500))]


def rows(adapters: Sequence[Adapter]) -> list[Row]:
    """launchpad keeps what came of reading its file, so it is measured twice."""
    found = everybody(adapters)
    at = next((i for i, row in enumerate(found) if row.label == "launchpad"), None)
    if at is not None:
        found.insert(at + 1, Row(AGAIN, "launchpad", {"again": True}))
    return found


def measure(adapter: Adapter, options: dict[str, Any]) -> list[Sample]:
    if options["n"] > adapter.most_services:
        raise Failed(f"no more than {adapter.most_services} services")
    with Run(adapter) as run:
        if options.get("again"):
            run.begin(run.idlers(options["n"]))
            run.still_there()
            run.over()
        marks = run.begin(run.idlers(options["n"]))
        run.still_there()
        return [{"last": (marks[-1].ns - run.began_ns) / 1e6}]


SCENARIO = Scenario(
    key="a",
    title="Starting",
    about=(
        "From the exec of the launcher until the last of N children, which do nothing, has begun to run. launchpad, as on its first "
        "start in a folder, and as on every other one as long as nothing is edited."
    ),
    measures=(Measure("last", "last child runs", "ms"),),
    rows=rows,
    columns=columns,
    measure=measure,
    plotted=("last", "100 services"),
)
