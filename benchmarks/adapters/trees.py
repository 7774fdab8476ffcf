"""Supervisors with a folder for each service: runit and s6. And dinit, with a file for each."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.adapters.base import Adapter, shell
from benchmarks.adapters.daemons import NO_JSONL, NO_PORTS
from benchmarks.adapters.procfiles import NO_ALIVE
from benchmarks.model import Service
from benchmarks.places import INSTALLED

PROGRAMS = INSTALLED / "deb/usr/bin"
"""Of runit. s6 looks for its own programs where its package puts them, so it has to be installed on the machine."""
NO_HTTP = "knows no readiness over http"
OTHER_GRACE = "does not kill what stays"
NO_CONSOLE = "has no console: the children have its stdout"


class Tree(Adapter):
    """What ends is always started again."""

    lacks = {
        "readiness": NO_HTTP,
        "ports": NO_PORTS,
        "alive": NO_ALIVE,
        "jsonl": NO_JSONL,
        "grace": OTHER_GRACE,
        "console": NO_CONSOLE,
    }
    logger = ""

    def version_command(self) -> list[str]:
        return []

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        for service in services:
            place = folder / "scan" / service.name
            if not place.exists():
                place.mkdir(parents=True)
            script(place / "run", f"exec {shell(service.argv)}")
            if service.output == "file" and not (place / "log").exists():
                (place / "log").mkdir()
                (folder / f"{service.name}.log").mkdir()
                script(place / "log" / "run", self.logger.format(to=folder / f"{service.name}.log"))


def script(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}")
    part.write_text(f"#!/bin/sh\n{text}\n")
    part.chmod(0o755)
    part.replace(path)


class Runit(Tree):
    name = "runit"
    program = str(PROGRAMS / "runsvdir")
    stop_signal = signal.SIGHUP
    logger = "exec svlogd {to}"
    most_services = 900

    def environment(self, folder: Path) -> dict[str, str]:
        return {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"}

    def version(self) -> str:
        """Its programs do not tell; the name of the archive that was unpacked does."""
        found = sorted((INSTALLED / "debs").glob("runit_*.deb"))
        return found[-1].name.split("_")[1] if found else "?"

    def command(self, folder: Path) -> list[str]:
        return [self.program, str(folder / "scan")]

    def status_command(self, folder: Path) -> list[str] | None:
        return ["/bin/sh", "-c", f"exec {PROGRAMS}/sv status {folder}/scan/*"]

    def reload_command(self, folder: Path, name: str) -> list[str] | None:
        return [str(PROGRAMS / "sv"), "restart", str(folder / "scan" / name)]


class S6(Tree):
    name = "s6"
    program = "s6-svscan"
    stop_signal = signal.SIGTERM
    logger = "exec s6-log n3 s50000000 {to}"

    def version(self) -> str:
        """Its programs do not tell; the package manager may."""
        asked = shutil.which("dpkg-query")
        argv = [asked or "true", "--show", "--showformat=${Version}", "s6"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout or "?"

    def command(self, folder: Path) -> list[str]:
        return [self.program, "-c", "4000", str(folder / "scan")]

    def status_command(self, folder: Path) -> list[str] | None:
        each = f"for one in {folder}/scan/*; do s6-svstat $one; done"
        return ["/bin/sh", "-c", each]

    def reload_command(self, folder: Path, name: str) -> list[str] | None:
        return ["s6-svc", "-r", str(folder / "scan" / name)]


class Dinit(Adapter):
    name = "dinit"
    program = "dinit"
    stop_signal = signal.SIGTERM
    lacks = {
        "readiness": NO_HTTP, "ports": NO_PORTS, "alive": NO_ALIVE, "jsonl": NO_JSONL, "file": "rotates no file",
    }  # fmt: skip

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        (folder / "d").mkdir(exist_ok=True)
        for s in services:
            restart = (
                f"restart = {'yes' if s.restart else 'no'}\nrestart-delay = 0\nrestart-limit-count = 0\n"
            )
            text = f"type = process\ncommand = {shell(s.argv)}\nstop-timeout = {s.grace_s:g}\n{restart}"
            (folder / "d" / s.name).write_text(text)
        needs = "".join(f"waits-for = {s.name}\n" for s in services)
        (folder / "d" / "boot").write_text(f"type = internal\n{needs}")

    def command(self, folder: Path) -> list[str]:
        return [self.program, "-u", "-d", str(folder / "d"), "-p", str(folder / "d.sock"), "-q"]

    def _ctl(self, folder: Path, *arguments: str) -> list[str]:
        return ["dinitctl", "-u", "-p", str(folder / "d.sock"), *arguments]

    def status_command(self, folder: Path) -> list[str] | None:
        return self._ctl(folder, "list")

    def reload_command(self, folder: Path, name: str) -> list[str] | None:
        both = " ".join(self._ctl(folder, "reload", name)), " ".join(self._ctl(folder, "restart", name))
        return ["/bin/sh", "-c", " && ".join(both)]
