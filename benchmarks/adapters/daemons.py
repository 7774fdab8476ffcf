"""Supervisors with a configuration file and a control program: supervisord, circus, process-compose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapters.base import Adapter, shell
from benchmarks.adapters.procfiles import NO_ALIVE
from benchmarks.model import Service
from benchmarks.places import INSTALLED

NO_READY = "knows no readiness: a service is there when it was started"
NO_PORTS = "hands out no ports"
NO_JSONL = "writes no JSON lines"

SUPERVISORD = """\
[supervisord]
nodaemon=true
user=root
minfds=8192
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}
[unix_http_server]
file={folder}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/s.sock
"""


class Supervisord(Adapter):
    name = "supervisord"
    program = str(INSTALLED / "python/bin/supervisord")
    lacks = {"readiness": NO_READY, "ports": NO_PORTS, "alive": NO_ALIVE, "jsonl": NO_JSONL}

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        programs = [
            f"[program:{s.name}]\ncommand={shell(s.argv)}\nautorestart={str(s.restart).lower()}\n"
            f"startsecs=0\nstopwaitsecs={s.grace_s:g}\nstdout_logfile={self.log(folder, s)}\n"
            for s in services
        ]
        (folder / "s.conf").write_text(SUPERVISORD.format(folder=folder) + "".join(programs))

    def log(self, folder: Path, service: Service) -> str:
        if service.output == "file":
            return f"{folder}/{service.name}.log\nstdout_logfile_maxbytes=50MB\nstdout_logfile_backups=3"
        return "/dev/fd/1\nstdout_logfile_maxbytes=0"

    def command(self, folder: Path) -> list[str]:
        return [self.program, "-n", "-c", "s.conf"]

    def _ctl(self, *arguments: str) -> list[str]:
        return [str(INSTALLED / "python/bin/supervisorctl"), "-c", "s.conf", *arguments]

    def status_command(self, folder: Path) -> list[str] | None:
        return self._ctl("status")

    def reload_command(self, folder: Path, name: str) -> list[str] | None:
        return self._ctl("update")


class Circus(Adapter):
    name = "circus"
    program = str(INSTALLED / "python/bin/circusd")
    lacks = Supervisord.lacks

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        ends = f"ipc://{folder}/c.sock\npubsub_endpoint = ipc://{folder}/p.sock"
        watchers = [
            f"[watcher:{s.name}]\ncmd = {s.argv[0]}\nargs = {' '.join(s.argv[1:])}\ncopy_env = True\n"
            f"respawn = {s.restart}\ngraceful_timeout = {s.grace_s:g}\n{self.stream(folder, s)}"
            for s in services
        ]
        text = f"[circus]\nendpoint = {ends}\nstatsd = False\nwarmup_delay = 0\n" + "".join(watchers)
        (folder / "c.ini").write_text(text)

    def stream(self, folder: Path, service: Service) -> str:
        if service.output != "file":
            return "stdout_stream.class = StdoutStream\n"
        keep = "stdout_stream.max_bytes = 52428800\nstdout_stream.backup_count = 3\n"
        return (
            f"stdout_stream.class = FileStream\nstdout_stream.filename = {folder}/{service.name}.log\n{keep}"
        )

    def command(self, folder: Path) -> list[str]:
        return [self.program, "c.ini"]

    def _ctl(self, folder: Path, *arguments: str) -> list[str]:
        return [str(INSTALLED / "python/bin/circusctl"), "--endpoint", f"ipc://{folder}/c.sock", *arguments]

    def status_command(self, folder: Path) -> list[str] | None:
        return self._ctl(folder, "status")

    def reload_command(self, folder: Path, name: str) -> list[str] | None:
        return self._ctl(folder, "reloadconfig")


class ProcessCompose(Adapter):
    name = "process-compose"
    program = "process-compose"
    lacks = {"ports": NO_PORTS, "jsonl": NO_JSONL, "alive": "its period is for readiness, too"}

    def environment(self, folder: Path) -> dict[str, str]:
        return {"PC_DISABLE_DOTENV": "1", "XDG_CONFIG_HOME": str(folder)}

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        made = {"version": "0.5", "processes": {s.name: self.entry(folder, s) for s in services}}
        (folder / "pc.yaml").write_text(json.dumps(made))

    def entry(self, folder: Path, service: Service) -> dict[str, Any]:
        restart = {"restart": "always" if service.restart else "no"}
        made: dict[str, Any] = {"command": shell(service.argv), "availability": restart}
        made["shutdown"] = {"timeout_seconds": int(service.grace_s)}
        made["depends_on"] = {name: {"condition": "process_healthy"} for name in service.needs}
        if service.port:
            get = {"host": "127.0.0.1", "scheme": "http", "path": "/", "port": service.port}
            made["readiness_probe"] = {"http_get": get, "period_seconds": 1, "failure_threshold": 60}
        if service.output == "file":
            made["log_location"] = f"{folder}/{service.name}.log"
        return made

    def command(self, folder: Path) -> list[str]:
        sockets = ["-U", "-u", str(folder / "pc.sock"), "-L", str(folder / "pc.log")]
        return [self.program, "up", "-f", "pc.yaml", "-t=false", *sockets, "--keep-project"]

    def version_command(self) -> list[str]:
        return [self.program, "version"]

    def status_command(self, folder: Path) -> list[str] | None:
        return [self.program, "process", "list", "-U", "-u", str(folder / "pc.sock")]

    def reload_command(self, folder: Path, name: str) -> list[str] | None:
        return [self.program, "project", "update", "-f", "pc.yaml", "-U", "-u", str(folder / "pc.sock")]
