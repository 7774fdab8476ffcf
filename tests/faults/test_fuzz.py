"""The fuzzers and the soak run, for a moment: the long runs are `scripts/fuzz` and `scripts/soak`."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launchpad.errors import Refused
from launchpad.plan.read import read_stack
from launchpad.stack.files import content
from tests.faults.fuzzing import TARGETS
from tests.faults.fuzzing_input import refused_or_read

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_fuzz(target: str) -> None:
    command = [sys.executable, SCRIPTS / "fuzz", target, "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing found" in done.stdout


@pytest.mark.xdist_group("heavy")
def test_soak() -> None:
    command = [sys.executable, SCRIPTS / "soak", "--seconds", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost: nothing" in done.stdout


FOUND = [
    ("apply", "POST", "", b'{"env_files": ["\\u0000"]}'),
    ("diff", "POST", "", b'{"env_files": ["a\\u0000b"]}'),
]


@pytest.mark.parametrize("folder", ["x" * 300, "~nobody-of-that-name/x", "/root\0"])
@pytest.mark.parametrize("key", ["working_dir", "venv", "env_file", "watch"])
def test_folders_that_cannot_be(tmp_path: Path, key: str, folder: str) -> None:
    """Paths that once ended in an error of launchpad's own: too long for a name, of a user that is not there."""
    file = tmp_path / "stack.yaml"
    file.write_text(json.dumps({"servers": {"a": {"command": "x", key: folder}}}))
    refused_or_read(file)


@pytest.mark.parametrize("file", ["/dev/kmsg", "/dev/zero", "/dev/tty", "pipe", "socket"])
def test_what_never_ends_is_no_file(tmp_path: Path, file: str) -> None:
    """The first of these once kept the supervisor busy for ever."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(tmp_path / "socket"))
        stack = tmp_path / "stack.yaml"
        stack.write_text(json.dumps({"env_file": file, "servers": {"a": {"command": "x"}}}))
        with pytest.raises(Refused) as caught:
            read_stack(stack)
    assert "cannot be read" in caught.value.diagnostics[0].message


def test_what_is_no_file_is_let_go_of(tmp_path: Path) -> None:
    """A folder once cost a descriptor each time it was read."""
    before = os.listdir("/proc/self/fd")
    for path in (tmp_path, Path("/dev/null"), Path("/dev/zero"), tmp_path / "none"):
        with contextlib.suppress(OSError):
            content(path)
    assert os.listdir("/proc/self/fd") == before


def test_no_file_at_all_is_an_empty_one(tmp_path: Path) -> None:
    stack = tmp_path / "stack.yaml"
    stack.write_text(json.dumps({"env_file": "/dev/null", "servers": {"a": {"command": "x"}}}))
    assert read_stack(stack).plan.services


def test_what_was_found() -> None:
    """Inputs of the API that once ended in an error of launchpad's own."""
    with TARGETS["api"]() as (once, _):
        for found in FOUND:
            once(found)
