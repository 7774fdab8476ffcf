"""The fuzzers and the soak run, for a moment: the long runs are `scripts/fuzz` and `scripts/soak`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_what_was_found() -> None:
    """Inputs of the API that once ended in an error of launchpad's own."""
    with TARGETS["api"]() as (once, _):
        for found in FOUND:
            once(found)
