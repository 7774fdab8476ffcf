"""What a scenario knows of a launcher. An adapter states facts only: how this one is told the same thing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.model import Service


class Adapter:
    name = ""
    kind = "peer"
    """`launchpad`, `peer`, or `limit`: what the machine allows."""
    program = ""
    """What has to be there: a path or a name on PATH."""
    terminal = False
    """It needs one."""
    leaves = False
    """What was started goes into the background and exits with 0."""
    stop_signal = signal.SIGINT
    lacks: dict[str, str] = {}
    """Feature -> why its cell is empty. Features: readiness, reload, ports, alive, restart, status, file, jsonl, console,
    grace."""
    most_services = 3000
    patience_s = 40.0
    """So long a mark is waited for before the cell has failed."""
    stays_s = 0.2
    """So long it is looked at whether it stays, once its services run."""
    only_for = ""
    """The one feature that it is measured for."""

    def __init__(self) -> None:
        self._version: str | None = None

    def missing(self) -> str:
        """Why it cannot be measured on this machine; empty if it can."""
        found = shutil.which(self.program)
        return "" if found else f"{Path(self.program).name} is not installed"

    def write(self, folder: Path, services: Sequence[Service]) -> None:
        """Its configuration; written again it is an edit."""
        raise NotImplementedError

    def command(self, folder: Path) -> list[str]:
        raise NotImplementedError

    def environment(self, folder: Path) -> dict[str, str]:
        return {}

    def version_command(self) -> list[str]:
        """Empty if it has none."""
        return [self.program, "--version"]

    def version(self) -> str:
        if self._version is None:
            argv, own = self.version_command(), self.environment(Path("/tmp"))
            done = subprocess.run(
                argv, capture_output=True, text=True, env={**os.environ, **own}, check=False
            )
            found = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
            self._version = found[0] if found else "?"
        return self._version

    def status_command(self, folder: Path) -> list[str] | None:
        return None

    def check_command(self, folder: Path) -> list[str] | None:
        return None

    def reload_command(self, folder: Path, name: str) -> list[str] | None:
        """After an edit of that service; None: it notices by itself."""
        return None

    def stop_command(self, folder: Path) -> list[str] | None:
        """Where a signal is not how it is stopped."""
        return None


def shell(argv: Sequence[str]) -> str:
    """For files in which a command is one line. The measured commands hold nothing that needs quotes."""
    return " ".join(argv)
