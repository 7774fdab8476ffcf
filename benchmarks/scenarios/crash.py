"""A service is killed: until the one that replaces it runs."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from benchmarks.adapters.base import Adapter
from benchmarks.model import Column, Measure, Sample, Scenario, everybody
from benchmarks.run import Run

SERVICES = 10
PAUSE_S = 1.2
"""Longer than the second within which runit and s6 hold a new start back: the crash of a service that ran."""


def columns(quick: bool) -> list[Column]:
    return [Column("", {"crashes": 4 if quick else 10})]


def measure(adapter: Adapter, options: dict[str, Any]) -> list[Sample]:
    with Run(adapter) as run:
        run.begin(run.idlers(SERVICES, restart=True))
        return [one(run) for _ in range(options["crashes"])]


def one(run: Run) -> Sample:
    time.sleep(PAUSE_S)
    marks = run.read("start")
    victim = [mark for mark in marks if mark.name == "s1"][-1]
    killed = time.monotonic_ns()
    os.kill(victim.pid, signal.SIGKILL)
    replaced = run.wait(len(marks) + 1)[-1]
    return {"ms": (replaced.ns - killed) / 1e6}


SCENARIO = Scenario(
    key="j",
    title="From a crash to the replacement",
    about=(
        "One of 10 services gets SIGKILL more than a second after its start. Until its replacement is executed, with "
        "no backoff where one can be set."
    ),
    measures=(Measure("ms", "SIGKILL → the replacement's exec", "ms", 1),),
    rows=everybody,
    columns=columns,
    measure=measure,
    needs="restart",
    rounds=(5, 2),
)
