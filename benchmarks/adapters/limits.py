"""What the machine allows: a loop that spawns, in C and in Python, and one that knocks before the next spawn."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.adapters.base import Adapter, shell
from benchmarks.model import Service
from benchmarks.places import CHILDREN, compiled

NO_LAUNCHER = "a loop that spawns can do nothing else"


class FloorC(Adapter):
    name = "a loop in C"
    kind = "limit"
    lacks = dict.fromkeys(["readiness", "reload", "ports", "alive", "status", "jsonl", "grace"], NO_LAUNCHER)
    _more: tuple[str, ...] = ()

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return ""

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        (folder / "commands").write_text("".join(shell(service.argv) + "\n" for service in services))
        again = any(service.restart for service in services)
        short = any(service.output == "short" for service in services)
        self._more = ("again",) if again else ("short",) if short else ()

    def command(self, folder: Path) -> list[str]:
        return [compiled("floor"), "commands", *self._more]


class FloorPython(FloorC):
    name = "a loop in Python"
    lacks = dict.fromkeys(["reload", "ports", "alive", "status", "jsonl", "restart", "grace"], NO_LAUNCHER)

    def version(self) -> str:
        return ".".join(map(str, sys.version_info[:3]))

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        rows = [[list(service.argv), service.port] for service in services]
        (folder / "commands").write_text(json.dumps(rows))

    def command(self, folder: Path) -> list[str]:
        return [sys.executable, "-I", "-S", str(CHILDREN / "floor.py"), "commands"]

    def version_command(self) -> list[str]:
        return [sys.executable, "-c", "pass"]
