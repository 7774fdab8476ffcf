"""The quickstart, for real: it is the first thing that a user sees. A shorter training than by default."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.e2e.conftest import Make

STACKS = Path(__file__).resolve().parent.parent.parent / "stacks"


def test_the_quickstart_ends_with_its_table(make_stack: Make) -> None:
    stack = make_stack("")
    shutil.copytree(
        STACKS / "quickstart", stack.folder / "quickstart", ignore=shutil.ignore_patterns("*.bin")
    )
    stack.write((STACKS / "quickstart.yaml").read_text())
    done = stack.cli("up", "--set", "steps=60", timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "loss" in done.stdout
    assert "wonderland (through the server)" in done.stdout
    assert "fewer bits than counting characters" in done.stdout
    assert (stack.folder / "quickstart" / "checkpoint.bin").stat().st_size > 1000
    assert "loss" in (stack.folder / "logs" / "train.log").read_text(), "the second sink"
    assert not stack.survivors()
