"""What a person waits for: the version, the status of 10 services, a check of a file with 500."""

from __future__ import annotations

from typing import Any

from benchmarks.adapters.base import Adapter
from benchmarks.model import Measure, Sample, Scenario, everybody, once
from benchmarks.run import Run

SERVICES, IN_FILE = 10, 500


def measure(adapter: Adapter, options: dict[str, Any]) -> list[Sample]:
    with Run(adapter) as run:
        samples: list[Sample] = []
        if adapter.name == "a loop in C":
            return [{"version": run.call(["/bin/true"])}]
        if (check := adapter.check_command(run.folder)) is not None:
            adapter.write(run.folder, run.idlers(IN_FILE))
            samples += [{"check": run.call(check)} for _ in range(2)][1:]
        if version := adapter.version_command():
            samples += [{"version": run.call(version)} for _ in range(4)][1:]
        if (status := adapter.status_command(run.folder)) is not None:
            run.begin(run.idlers(SERVICES))
            run.call(status)
            samples += [{"status": run.call(status)} for _ in range(3)]
        return samples


SCENARIO = Scenario(
    key="g",
    title="Asking",
    about=(
        "How long a command takes: the version, the status of 10 running services, the check of a file with 500. The "
        "loop in C stands for `/bin/true`, the loop in Python for `python -c pass`: what an interpreter costs."
    ),
    measures=(
        Measure("version", "version", "ms"),
        Measure("status", "status of 10", "ms"),
        Measure("check", "check of 500", "ms"),
    ),
    rows=everybody,
    columns=once,
    measure=measure,
    rounds=(7, 2),
)
