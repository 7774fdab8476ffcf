"""launchpad itself, as its users start it: `launchpad up FILE`, in the foreground."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapters.base import Adapter
from benchmarks.model import Service


class Launchpad(Adapter):
    name = "launchpad"
    kind = "launchpad"
    program = str(Path(sys.executable).with_name("launchpad"))

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        (folder / "stack.yaml").write_text(stack(services))

    def command(self, folder: Path) -> list[str]:
        return [self.program, "up", "stack.yaml"]

    def status_command(self, folder: Path) -> list[str] | None:
        return [self.program, "ps", "stack.yaml"]

    def check_command(self, folder: Path) -> list[str] | None:
        return [self.program, "check", "stack.yaml"]


def stack(services: Sequence[Service]) -> str:
    """One line for each service: JSON is YAML, and a key starts a line as in a file written by hand."""
    lines = [f"  {service.name}: {json.dumps(entry(service))}\n" for service in services]
    return "servers:\n" + "".join(lines)


def entry(service: Service) -> dict[str, Any]:
    made: dict[str, Any] = {"command": list(service.argv)}
    if service.needs:
        made["depends_on"] = list(service.needs)
    if service.port or service.port_range:
        made["port"] = service.port or service.port_range
    if service.port:
        made["ready"] = {"http": "/"}
    if service.alive_s:
        made["alive"] = {"http": "/", "interval": f"{service.alive_s:g}s"}
    if service.restart:
        made["restart"], made["max_restarts"] = "always", 1000000
        made["backoff"] = {"initial": "1ms", "max": "1ms"}
    else:
        made["restart"] = "never"
    if service.grace_s != Service.grace_s:
        made["stop_grace"] = f"{service.grace_s:g}s"
    if service.output == "file":
        made["output"] = {"file": f"{service.name}.log", "rotate": "50MB", "keep": 3}
    elif service.output == "jsonl":
        made["output"] = {"jsonl": f"{service.name}.jsonl"}
    return made
