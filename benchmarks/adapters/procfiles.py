"""Launchers that read a Procfile."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.adapters.base import Adapter, shell
from benchmarks.model import Service
from benchmarks.places import INSTALLED

NO_RELOAD = "reads its file once; all has to be restarted"
NO_READY = "starts all at once"
NO_ALIVE = "has no liveness check"
NO_RESTART = "ends all when one ends"
ONLY_CONSOLE = "prints to its console only"


class Procfile(Adapter):
    lacks = {
        "readiness": NO_READY,
        "reload": NO_RELOAD,
        "alive": NO_ALIVE,
        "restart": NO_RESTART,
        "status": "has no command for that",
        "file": ONLY_CONSOLE,
        "jsonl": ONLY_CONSOLE,
    }

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        (folder / "Procfile").write_text("".join(f"{s.name}: {self.line(s)}\n" for s in services))

    def line(self, service: Service) -> str:
        return shell(service.argv)


class Honcho(Procfile):
    name = "honcho"
    program = str(INSTALLED / "python/bin/honcho")

    def command(self, folder: Path) -> list[str]:
        return [self.program, "start"]

    def check_command(self, folder: Path) -> list[str] | None:
        return [self.program, "check"]


class HonchoLoop(Honcho):
    """What is written by hand where a launcher knows no readiness."""

    name = "honcho + a loop with curl"
    lacks = {k: v for k, v in Procfile.lacks.items() if k != "readiness"}
    only_for = "readiness"

    def missing(self) -> str:
        return super().missing() or ("" if shutil.which("curl") else "curl is not installed")

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        self._ports = {service.name: service.port for service in services}
        super().write(folder, services)

    def line(self, service: Service) -> str:
        waits = [
            f"until curl -fs -o /dev/null http://127.0.0.1:{self._ports[name]}/; do sleep 0.1; done; "
            for name in service.needs
        ]
        return "".join(waits) + "exec " + shell(service.argv)


class Foreman(Procfile):
    name = "foreman"
    program = str(INSTALLED / "deb/usr/bin/ruby3.1")
    most_services = 500

    def environment(self, folder: Path) -> dict[str, str]:
        deb = INSTALLED / "deb/usr"
        libraries = deb / "lib/x86_64-linux-gnu"
        ruby = [deb / "lib/ruby/vendor_ruby", deb / "lib/ruby/3.1.0", libraries / "ruby/3.1.0"]
        return {
            "LD_LIBRARY_PATH": str(libraries),
            "RUBYLIB": ":".join(map(str, ruby)),
            "GEM_PATH": str(deb / "share/rubygems-integration/all"),
        }

    def _foreman(self, *arguments: str) -> list[str]:
        return [self.program, str(INSTALLED / "deb/usr/bin/foreman"), *arguments]

    def command(self, folder: Path) -> list[str]:
        return self._foreman("start", "-f", "Procfile", "-d", str(folder))

    def version_command(self) -> list[str]:
        return self._foreman("version")

    def check_command(self, folder: Path) -> list[str] | None:
        return self._foreman("check")


class Hivemind(Procfile):
    name = "hivemind"
    program = "hivemind"

    def command(self, folder: Path) -> list[str]:
        return [self.program, "Procfile"]


class Overmind(Procfile):
    name = "overmind"
    program = "overmind"
    most_services = 100
    lacks = {k: v for k, v in Procfile.lacks.items() if k != "status"}

    def environment(self, folder: Path) -> dict[str, str]:
        return {"TMPDIR": str(folder), "TMUX_TMPDIR": str(folder)}

    def command(self, folder: Path) -> list[str]:
        return [self.program, "start", "-f", "Procfile", "-s", str(folder / "o.sock")]

    def status_command(self, folder: Path) -> list[str] | None:
        return [self.program, "status", "-s", str(folder / "o.sock")]


class Goreman(Procfile):
    name = "goreman"
    program = "goreman"

    def command(self, folder: Path) -> list[str]:
        return [self.program, "-f", "Procfile", "-rpc-server=false", "start"]

    def version_command(self) -> list[str]:
        return [self.program, "version"]
