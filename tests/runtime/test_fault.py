"""What nobody foresaw ends launchpad with a word, and never leaves a stack waiting for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from launchpad.paths import stack_paths
from tests.runtime.live import DEADLINE_S, SLEEPER

BROKEN = """
from launchpad.hosts.local.ports import Ports

async def broken(self, wish):
    raise LookupError("nobody foresaw this")

Ports.lease = broken
from launchpad.cli.main import main
main()
"""


def test_an_error_of_our_own_while_ports_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(f"servers: {{a: {{command: {SLEEPER}, port: auto}}}}")
    up = subprocess.run(
        [sys.executable, "-c", BROKEN, "up", str(file)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    log = stack_paths(file).supervisor_log
    assert (up.returncode, up.stdout) == (3, "")
    assert f"error[E901]: launchpad itself failed; the traceback is in {log}" in up.stderr
    assert "nobody foresaw this" in log.read_text()
