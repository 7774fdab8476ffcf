"""The harness believes what was measured, and leaves nothing behind; whatever the launcher says."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cell import Measured, measured
from benchmarks.processes import alive
from tests.bench.launchers import ACTOR


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the children write their pids; and children that need no compiler."""
    actor = tmp_path / "children" / "actor"
    actor.parent.mkdir()
    actor.write_text(ACTOR)
    actor.chmod(0o755)
    file = tmp_path / "pids"
    monkeypatch.setenv("BENCH_PEERS", str(tmp_path))
    monkeypatch.setenv("BENCH_TEST_PIDS", str(file))
    return file


def start(launcher: str, limit_s: float = 60.0) -> Measured:
    return measured("a", f"tests.bench.launchers:{launcher}", {"n": 3}, limit_s)


def living(pids: Path) -> list[int]:
    return [pid for pid in map(int, pids.read_text().split()) if alive(pid)]


def test_what_started_has_a_figure_and_nothing_of_it_lives(pids: Path) -> None:
    found = start("Honest")
    assert (len(found.samples), found.missing) == (1, "")
    assert len(pids.read_text().split()) == 3
    assert living(pids) == []


def test_one_that_says_that_all_run_is_not_believed(pids: Path) -> None:
    found = start("StartsTooFew")
    assert found.samples == []
    assert found.missing == "2 of 3 said `start` within 1 s: all services are running"
    assert living(pids) == []


def test_as_many_starts_as_services_are_not_enough(pids: Path) -> None:
    assert start("StartsOneTwice").missing == "3 services, but 3 starts of 2"
    assert living(pids) == []


def test_one_that_ends_before_is_told_with_its_last_words(pids: Path) -> None:
    assert start("EndsEarly").missing == "it ended, exit 7, when 0 of 3 said `start`: bad configuration"


def test_one_that_ends_right_after_is_caught(pids: Path) -> None:
    found = start("Leaves")
    assert found.samples == []
    assert "it ended, exit 0" in found.missing
    assert living(pids) == []


def test_children_that_went_their_own_way_end_with_the_cell(pids: Path) -> None:
    assert len(start("Detaches").samples) == 1
    assert len(pids.read_text().split()) == 3
    assert living(pids) == []


def test_a_cell_that_takes_too_long_is_ended_with_all_below_it(pids: Path) -> None:
    found = start("HangsFor", limit_s=3.0)
    assert found == Measured([], "not within 3 s")
    assert not pids.exists() or living(pids) == []


def test_a_launcher_that_is_not_there_is_a_reason(pids: Path) -> None:
    assert start("Missing") == Measured([], "launcher is not installed")
