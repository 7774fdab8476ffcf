"""What `up` leaves when it comes to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launchpad.errors import Refused
from launchpad.hosts.local.keeper import Keeper
from launchpad.paths import stack_paths
from launchpad.runtime.options import UpOptions
from launchpad.runtime.up import run, up
from tests.e2e.harness import alive

REFUSED = """
import socket
from pathlib import Path
from launchpad.hosts.local.keeper import Keeper
from launchpad.paths import stack_paths
from launchpad.runtime.options import UpOptions
from launchpad.runtime.session import Session
from launchpad.runtime.up import up

finish = Session._finish

async def slowly(session):
    await finish(session)
    sum(range(20_000_000))
    Path("tidied").touch()

Session._finish = slowly
file = Path("stack.yaml").absolute()
with socket.create_server(("127.0.0.1", 0)) as stranger:
    file.write_text(f"servers: {{llm: {{command: x, port: {stranger.getsockname()[1]}}}}}")
    code = up(UpOptions(file=file, detach=True), Keeper(stack_paths(file)))
    print(code, Path("tidied").exists())
"""


@pytest.mark.parametrize("text", ["servers: {llm: {comand: x}}", "servers: {llm: {command: x}, llm: {}}", ""])
def test_what_is_refused_leaves_no_keeper(tmp_path: Path, text: str) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(text)
    for begin in (up, run):
        keeper = Keeper(stack_paths(file))
        with pytest.raises(Refused):
            begin(UpOptions(file=file, job="train" if begin is run else ""), keeper)
        assert not alive(keeper.pid)


def test_in_the_background_it_returns_once_the_supervisor_has_tidied_up(tmp_path: Path) -> None:
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    words = [sys.executable, "-c", REFUSED]
    done = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert "E301" in done.stdout + done.stderr
    assert done.stdout.split()[-2:] == ["2", "True"], done.stderr
