"""The limits do what the others do, or they would be none."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from benchmarks import places
from tests.e2e.harness import eventually

MIB = 1 << 20


@pytest.mark.skipif(shutil.which("cc") is None, reason="no compiler")
def test_a_file_is_kept_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "INSTALLED", tmp_path)
    (tmp_path / "print").write_text("head -c 400M /dev/zero | tr '\\0' x; exec sleep 99")
    (tmp_path / "commands").write_text(f"/bin/sh {tmp_path / 'print'}\n")
    out = tmp_path / "out"
    with out.open("wb") as stdout:
        floor = subprocess.Popen([places.compiled("floor"), tmp_path / "commands", "short"], stdout=stdout)
    try:
        eventually(lambda: out.stat().st_size == 400 * MIB, "all is written")
        eventually(lambda: out.stat().st_blocks * 512 < 330 * MIB, "its beginning is given back")
        with out.open("rb") as file:
            file.seek(-256 * MIB, 2)
            assert file.read(1) == b"x"
    finally:
        floor.send_signal(signal.SIGINT)
        floor.wait()
