"""Launchers for tests of the harness: one that is honest, and some that lie. They speak shell, and need no peer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from benchmarks.adapters.base import Adapter
from benchmarks.model import Service

ACTOR = """\
#!/bin/sh
echo "$2 start $(date +%s%N) $$ 0" >> "$1"
echo $$ >> "$BENCH_TEST_PIDS"
exec sleep 300
"""
"""Stands for the measured child, so that no compiler is needed."""


class Shell(Adapter):
    program = "/bin/sh"

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        started = [f"{' '.join(service.argv)} &\n" for service in self.of(services)]
        (folder / "go").write_text("".join(started) + self.after)

    def of(self, services: Sequence[Service]) -> Sequence[Service]:
        return services

    after = "wait\n"

    def command(self, folder: Path) -> list[str]:
        return ["/bin/sh", "go"]

    def environment(self, folder: Path) -> dict[str, str]:
        return {"BENCH_TEST_PIDS": os.environ["BENCH_TEST_PIDS"]}


class Honest(Shell):
    name = "honest"


class StartsTooFew(Shell):
    """It says that all have started."""

    name = "starts too few"
    patience_s = 1.0
    after = "echo all services are running\nwait\n"

    def of(self, services: Sequence[Service]) -> Sequence[Service]:
        return services[:-1]


class StartsOneTwice(Shell):
    name = "starts one twice"

    def of(self, services: Sequence[Service]) -> Sequence[Service]:
        return [*services[:-1], services[0]]


class EndsEarly(Shell):
    """Before its services run."""

    name = "ends early"
    after = "echo bad configuration; exit 7\n"

    def of(self, services: Sequence[Service]) -> Sequence[Service]:
        return []


class Leaves(Shell):
    """Right after the start; its children live on."""

    name = "leaves"
    stays_s = 60.0
    after = "while [ $(wc -l < marks) -lt 3 ]; do sleep 0.01; done; exit 0\n"


class Detaches(Shell):
    """Its children are in sessions of their own, and nobody's."""

    name = "detaches"

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        started = [f"(setsid {' '.join(service.argv)} &)\n" for service in services]
        (folder / "go").write_text("".join(started) + "while :; do sleep 300; done\n")


class Missing(Shell):
    name = "missing"
    program = "/nonexistent/launcher"


class HangsFor(Shell):
    name = "hangs"
    patience_s = 300.0

    def of(self, services: Sequence[Service]) -> Sequence[Service]:
        return services[:1]
