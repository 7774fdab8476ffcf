"""Launchers of the npm registry: pm2, concurrently, mprocs."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path

from benchmarks.adapters.base import Adapter, shell
from benchmarks.adapters.daemons import NO_JSONL, NO_PORTS, NO_READY
from benchmarks.adapters.procfiles import NO_ALIVE, NO_RELOAD, ONLY_CONSOLE
from benchmarks.model import Service
from benchmarks.places import INSTALLED

MODULES = INSTALLED / "npm/node_modules"


class Pm2(Adapter):
    """The daemon; `pm2 start` leaves when it has handed over."""

    name = "pm2"
    program = str(MODULES / ".bin/pm2")
    leaves = True
    lacks = {"readiness": NO_READY, "ports": NO_PORTS, "alive": NO_ALIVE, "jsonl": NO_JSONL,
             "console": "has no console: a daemon"}  # fmt: skip

    def version(self) -> str:
        """To ask the program would leave its daemon behind."""
        found: str = json.loads((MODULES / "pm2/package.json").read_text())["version"]
        return found

    def environment(self, folder: Path) -> dict[str, str]:
        return {"PM2_HOME": str(folder / "h"), "PM2_DISABLE_VERSION_CHECK": "true"}

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        (folder / "h").mkdir(exist_ok=True)
        apps = [
            {"name": s.name, "script": s.argv[0], "args": s.argv[1:], "interpreter": "none", "vizion": False,
             "autorestart": s.restart, "pmx": False, "min_uptime": 0, "max_restarts": 1000000,
             "kill_timeout": int(s.grace_s * 1000)}
            for s in services
        ]  # fmt: skip
        (folder / "e.config.js").write_text("module.exports = " + json.dumps({"apps": apps}))

    def command(self, folder: Path) -> list[str]:
        return [self.program, "start", "e.config.js"]

    def status_command(self, folder: Path) -> list[str] | None:
        return [self.program, "list"]

    def reload_command(self, folder: Path, name: str) -> list[str] | None:
        both = f"{self.program} delete {name} && {self.program} start e.config.js --only {name}"
        return ["/bin/sh", "-c", both]

    def stop_command(self, folder: Path) -> list[str] | None:
        return [self.program, "kill"]


class Concurrently(Adapter):
    name = "concurrently"
    program = str(MODULES / ".bin/concurrently")
    lacks = {
        "readiness": NO_READY, "reload": NO_RELOAD, "ports": NO_PORTS, "alive": NO_ALIVE, "jsonl": NO_JSONL,
        "status": "has no command for that", "file": ONLY_CONSOLE, "grace": "does not kill what stays",
    }  # fmt: skip

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        restart = ["--restart-tries", "-1"] if any(s.restart for s in services) else []
        names = ",".join(s.name for s in services)
        argv = ["-n", names, *restart, *(shell(s.argv) for s in services)]
        (folder / "arguments.json").write_text(json.dumps(argv))

    def command(self, folder: Path) -> list[str]:
        return [self.program, *json.loads((folder / "arguments.json").read_text())]


class Mprocs(Adapter):
    name = "mprocs"
    terminal = True
    lacks = {**Concurrently.lacks, "grace": "does not kill what stays", "restart": "restarts only when it is told to",
             "console": "draws a screen of its own"}  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        made_for = f"mprocs-*-linux-{platform.machine()}-musl"
        self.program = next(map(str, (MODULES / "mprocs").glob(f"{made_for}/mprocs")), "mprocs")

    def environment(self, folder: Path) -> dict[str, str]:
        return {"XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder)}

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        procs = {s.name: {"cmd": list(s.argv)} for s in services}
        (folder / "mprocs.yaml").write_text(json.dumps({"procs": procs}))

    def command(self, folder: Path) -> list[str]:
        return [self.program, "-c", "mprocs.yaml"]
