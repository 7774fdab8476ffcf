"""A save of the configuration: until the service that it changed runs anew, and the others still do."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.adapters.base import Adapter
from benchmarks.model import Column, Failed, Measure, Row, Sample, Scenario, Service
from benchmarks.processes import alive, cpu_s
from benchmarks.run import Run

SERVICES = 10
PAUSE_S = 0.3
"""Between two saves, as a person would make at least."""


def rows(adapters: Sequence[Adapter]) -> list[Row]:
    found = []
    for adapter in adapters:
        if adapter.kind == "launchpad":
            found.append(Row(f"{adapter.name}, saved in place", adapter.name))
            found.append(Row(f"{adapter.name}, temporary file + rename", adapter.name, {"rename": True}))
        elif not adapter.only_for and adapter.kind != "limit":
            found.append(Row(adapter.name, adapter.name))
    return found


def columns(quick: bool) -> list[Column]:
    return [Column("", {"saves": 5 if quick else 20})]


def measure(adapter: Adapter, options: dict[str, Any]) -> list[Sample]:
    with Run(adapter) as run:
        services = run.idlers(SERVICES)
        first = run.begin(services)
        own = run.own()
        run.settle(lambda: cpu_s(own))
        pids = {mark.name: mark.pid for mark in first if mark.name != "s1"}
        samples = [one(run, services, number, options) for number in range(options["saves"])]
        gone = [name for name, pid in pids.items() if not alive(pid)]
        if gone or {m.name for m in run.read("start")[SERVICES:]} != {"s1"}:
            raise Failed(f"of the 9 others {len(gone) or 'some'} were restarted, too")
        return samples


def one(run: Run, services: list[Service], number: int, options: dict[str, Any]) -> Sample:
    changed = [replace(s, argv=(*s.argv, f"edit{number}")) if s.name == "s1" else s for s in services]
    count = len(run.read("start"))
    saved = save(run, changed, bool(options.get("rename")))
    argv = run.adapter.reload_command(run.folder, "s1")
    command = run.call_beside(argv) if argv is not None else None
    mark = run.wait(count + 1)[-1]
    if command is not None:
        command.wait(20)
    time.sleep(PAUSE_S)  # not back to back
    return {"ms": (mark.ns - saved) / 1e6}


def save(run: Run, services: list[Service], rename: bool) -> int:
    """The time (ns) when the new content was in its place."""
    if not rename:
        run.adapter.write(run.folder, services)
        return time.monotonic_ns()
    with tempfile.TemporaryDirectory(dir=run.folder.parent) as other:
        run.adapter.write(Path(other), services)
        part = run.folder / "part"
        os.rename(Path(other) / "stack.yaml", part)
        os.rename(part, run.folder / "stack.yaml")
        return time.monotonic_ns()


SCENARIO = Scenario(
    key="e",
    title="From a save to the new process",
    about=(
        "10 services run; the command of one is edited. From the save until the new process of that service is "
        "executed; the others have to keep their processes. launchpad notices the save by itself; to the others "
        "their own command is given at once (`supervisorctl update`, `circusctl reloadconfig`, …), and the time "
        "includes it. runit, s6 and pm2 are told which service it is. The end of the old process is included."
    ),
    measures=(Measure("ms", "save → the changed service's exec", "ms", p95=True),),
    rows=rows,
    columns=columns,
    measure=measure,
    needs="reload",
)
