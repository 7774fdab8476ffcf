"""A folder with a stack file, a command line in this process, and a supervisor that is not one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from launchpad.cli.outcome import guarded
from launchpad.control.api import Snapshot
from launchpad.paths import StackPaths, stack_paths
from tests.cli.fake import FakeSupervisor
from tests.views.samples import ready, snapshot, view, waiting

STACK = """\
name: grpo
vars: {model: tiny}
servers:
  llm:
    command: serve ${vars.model} --port ${self.port}
    port: 8030-8099
    environment: {API_TOKEN: very-secret-value, MODEL: "${vars.model}"}
  reward:
    command: reward
    port: 8100-8199
jobs:
  train:
    command: train --base-url ${llm.url}/v1
    depends_on: {llm: ready, reward: started}
  eval:
    command: eval
    depends_on: [train]
"""


class Said(Struct, frozen=True):
    code: int
    out: str
    err: str


Cli = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, with a stack file; the runtime folder is a short one of its own."""
    (tmp_path / "stack.yaml").write_text(STACK)
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory(prefix="lp") as runtime:
        os.chmod(runtime, 0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        yield tmp_path


@pytest.fixture
def paths(folder: Path) -> StackPaths:
    return stack_paths(folder / "stack.yaml")


@pytest.fixture
def cli(folder: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command line in this process: its exit code and what it said."""

    def run(*arguments: str) -> Said:
        capsys.readouterr()
        code = guarded(arguments)
        said = capsys.readouterr()
        return Said(int(code), said.out, said.err)

    return run


@pytest.fixture
def picture(paths: StackPaths) -> Snapshot:
    return snapshot(
        ready("llm", log=str(paths.log("llm"))),
        view("reward", "starting", ports={"main": 8100}, url="http://127.0.0.1:8100", seen="refused",
             log=str(paths.log("reward")), attempt=1, pid=5200),
        waiting("train", "reward", log=str(paths.log("train"))),
        waiting("eval", "train", log=str(paths.log("eval"))),
    )  # fmt: skip


@pytest.fixture
def supervisor(paths: StackPaths, picture: Snapshot) -> Iterator[FakeSupervisor]:
    fake = FakeSupervisor(paths.socket, picture)
    yield fake
    fake.close()
