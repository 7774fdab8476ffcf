"""Examples whose programs are played, from a fresh copy, as a user would run them."""

from __future__ import annotations

from pathlib import Path

from tests.examples import EXAMPLES, run


def test_the_rehearsal_of_grpo(tmp_path: Path) -> None:
    row = run("grpo", EXAMPLES["grpo"], tmp_path)
    assert row.wrong == ()
    log = tmp_path / "stacks/grpo/logs/train.log"
    assert "on GPUs 1,2, rendezvous 29" in log.read_text()
