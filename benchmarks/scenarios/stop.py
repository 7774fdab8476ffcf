"""From SIGINT, or what ends this launcher, until its children, and it itself, are gone."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.adapters.base import Adapter
from benchmarks.model import Column, Failed, Measure, Sample, Scenario, Service, everybody
from benchmarks.processes import Ends, cpu_s
from benchmarks.run import Run

PATIENCE_S, QUICK_PATIENCE_S = 20.0, 6.0
"""How long after that the children may live."""


def columns(quick: bool) -> list[Column]:
    patience = {"patience_s": QUICK_PATIENCE_S if quick else PATIENCE_S}
    deaf = {"n": 4, "deaf": True, **patience}
    return [Column("100 that listen", {"n": 100, **patience}), Column("4 deaf ones, grace 3 s", deaf)]


def measure(adapter: Adapter, options: dict[str, Any]) -> list[Sample]:
    deaf, patience = options.get("deaf", False), options["patience_s"]
    if deaf and "grace" in adapter.lacks:
        raise Failed(adapter.lacks["grace"])
    with Run(adapter) as run:
        mode = "deaf" if deaf else "idle"
        names = [f"s{number}" for number in range(options["n"])]
        marks = run.begin([Service(name, run.actor(name, mode), grace_s=3.0) for name in names])
        own = run.own()
        run.settle(lambda: cpu_s(own))
        run.still_there()
        children = Ends(mark.pid for mark in marks)
        launcher = Ends(own)
        began = time.monotonic()
        run.ask_to_stop()
        if not children.wait(began + patience):
            raise Failed(f"children live {patience:g} s later")
        gone = (time.monotonic() - began) * 1e3
        if not launcher.wait(began + patience):
            return [{"children": gone}]
        return [{"children": gone, "launcher": max(gone, (time.monotonic() - began) * 1e3)}]


SCENARIO = Scenario(
    key="d",
    title="Stopping",
    about=(
        "From SIGINT (or the launcher's own way: SIGHUP for runit, SIGTERM for s6, `pm2 kill`, the key `q` for "
        "mprocs) until the last child is gone, and until the launcher with its helpers is gone. The deaf ones ignore "
        "SIGTERM, SIGINT and SIGHUP; where a grace period can be set, it is 3 s."
    ),
    measures=(Measure("children", "children gone", "ms"), Measure("launcher", "launcher gone", "ms")),
    rows=everybody,
    columns=columns,
    measure=measure,
    rounds=(7, 2),
    plotted=("launcher", "100 that listen"),
)
