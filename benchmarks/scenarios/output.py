"""A child that prints as fast as it may: what it loses to its launcher, and what the launcher pays."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import Any

from benchmarks.adapters.base import Adapter
from benchmarks.model import Column, Failed, Measure, Row, Sample, Scenario, Service
from benchmarks.processes import cpu_s
from benchmarks.run import Run

FIRST = 8_000_000
"""Bytes of the run that finds out how fast it is."""
SECONDS = 8.0
"""A run is cut down to about so long."""
GB = 1e9


def rows(adapters: Sequence[Adapter]) -> list[Row]:
    found = []
    for adapter in adapters:
        if adapter.only_for:
            continue
        if adapter.name == "a loop in C":
            found.append(Row("straight to a file", adapter.name, {"output": "file"}))
            found.append(Row("straight to a file that is kept short", adapter.name, {"output": "short"}))
        if adapter.kind == "limit":
            continue
        labels = {"console": "console to /dev/null", "file": "file, rotated", "jsonl": "JSON lines"}
        for output, label in labels.items():
            if output not in adapter.lacks:
                found.append(Row(f"{adapter.name}, {label}", adapter.name, {"output": output}))
        if "console" not in adapter.lacks:
            row = Row(
                f"{adapter.name}, console stalled", adapter.name, {"output": "console", "stalled": True}
            )
            found.append(row)
    return found


def columns(quick: bool) -> list[Column]:
    size = 200_000_000 if quick else 2_000_000_000
    return [Column(f"{size / GB:g} GB", {"bytes": size, "most_s": 1.0 if quick else SECONDS})]


def measure(adapter: Adapter, options: dict[str, Any]) -> list[Sample]:
    """What the launcher pays for its start is in a first, small run, too, and is taken off."""
    small = one(adapter, FIRST, options)
    takes = max(small["wall"] * options["bytes"] / GB, 0.001)
    size = int(options["bytes"] * min(1.0, options["most_s"] / takes))
    if size <= 2 * FIRST:
        return [{"wall": small["wall"], "cpu": small["spent"] / FIRST * GB, "size": FIRST / GB}]
    large = one(adapter, size, options)
    paid = max(0.0, large["spent"] - small["spent"])
    return [{"wall": large["wall"], "cpu": paid / (size - FIRST) * GB, "size": size / GB}]


def one(adapter: Adapter, size: int, options: dict[str, Any]) -> Sample:
    stalled = options.get("stalled", False)
    reader, writer = os.pipe()
    try:
        with Run(adapter) as run:
            service = Service("s0", run.actor("s0", "spew", size), output=options["output"])
            to_file = adapter.kind == "limit"  # its stdout is the child's
            run.start([service], stdout=writer if stalled else None if to_file else subprocess.DEVNULL)
            run.wait(1)
            written = wait_written(run, stalled)
            own = run.own()
            run.settle(lambda: cpu_s(own))
            return {"wall": written / size, "spent": cpu_s(own)}
    finally:
        os.close(reader)
        os.close(writer)


def wait_written(run: Run, stalled: bool) -> int:
    """The child's own time, ns."""
    try:
        return run.wait(1, "written", 10.0 if stalled else 60.0)[0].extra
    except Failed:
        if stalled and not run.ended():
            raise Failed("the child is blocked") from None
        raise


SCENARIO = Scenario(
    key="c",
    title="Output",
    about=(
        "One child writes lines of 100 bytes, in blocks of 64 KiB, as fast as they are taken; 2 GB, or what takes 8 s. "
        "The child's own time for each GB, and the processor time of the launcher with its helpers for it, its own "
        "start taken off. `Kept short`: no more than launchpad keeps of each service's output, the last 256 MiB, by a thread in C; what it takes "
        "the kernel to give back the room of the rest, the writer waits for. `Stalled`: the launcher's stdout is a pipe that nobody reads."
    ),
    measures=(
        Measure("wall", "child's time per GB", "s", 2),
        Measure("cpu", "launcher's CPU per GB", "s", 2),
        Measure("size", "measured with", "GB", 2),
    ),
    rows=rows,
    columns=columns,
    measure=measure,
    rounds=(5, 2),
    limit_s=150.0,
    reference="straight to a file",
)
