"""Rounds, reasons, and going on where it was broken off; without any process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure, results
from benchmarks.adapters.base import Adapter
from benchmarks.cell import Measured
from benchmarks.model import Column, Measure, Sample, Scenario, everybody


class One(Adapter):
    name, program = "one", "/bin/sh"

    def version(self) -> str:
        return "1.0"


class Two(One):
    name = "two"


class Unable(One):
    name, lacks = "unable", {"flying": "has no wings"}


class Away(One):
    name, program = "away", "/nonexistent/away"


def never(adapter: Adapter, options: dict[str, Any]) -> list[Sample]:
    raise AssertionError("measured in this process")


SCENARIO = Scenario(
    "x", "X", "about", (Measure("ms", "time", "ms"),), everybody,
    lambda quick: [Column("few", {"n": 1}), Column("many", {"n": 2})], never, needs="flying", rounds=(3, 2),
)  # fmt: skip


class Measurer:
    """Gives 1, 2, 3, …; or stops at the given call, as a person with Ctrl-C would."""

    def __init__(self, broken_at: int = 0, failing: Sequence[str] = ()) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._broken_at, self._failing = broken_at, failing

    def __call__(self, scenario: str, adapter: str, options: dict[str, object], limit_s: float) -> Measured:
        self.calls.append((adapter, options["n"]))
        if len(self.calls) == self._broken_at:
            raise KeyboardInterrupt
        if adapter in self._failing:
            return Measured([], "not within 60 s")
        return Measured([{"ms": float(len(self.calls))}])


def run(folder: Path, measurer: Measurer, resume: bool = False, quick: bool = True) -> results.Results:
    adapters = [One(), Two(), Unable(), Away()]
    return measure.scenario(
        SCENARIO, adapters, folder, quick, resume, say=lambda line: None, measurer=measurer
    )


def test_contestants_take_turns(tmp_path: Path) -> None:
    measurer = Measurer()
    run(tmp_path, measurer)
    assert measurer.calls == [("one", 1), ("two", 1), ("one", 2), ("two", 2)] * 2


def test_what_cannot_be_measured_has_a_reason(tmp_path: Path) -> None:
    found = run(tmp_path, Measurer())
    assert found.cells["unable"]["few"].missing == "has no wings"
    assert found.cells["away"]["many"].missing == "away is not installed"
    assert found.values("unable", "few", "ms") == []


def test_what_failed_twice_is_not_tried_again(tmp_path: Path) -> None:
    measurer = Measurer(failing=["two"])
    found = run(tmp_path, measurer, quick=False)
    assert measurer.calls.count(("two", 1)) == 2
    assert measurer.calls.count(("one", 1)) == 3
    assert found.cells["two"]["few"].missing == "not within 60 s"


def test_it_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    try:
        run(tmp_path, Measurer(broken_at=4))
    except KeyboardInterrupt:
        pass
    rest = Measurer()
    found = run(tmp_path, rest, resume=True)
    assert rest.calls == [("two", 2), ("one", 1), ("two", 1), ("one", 2), ("two", 2)]
    assert len(found.values("one", "few", "ms")) == 2
    assert results.load(tmp_path, "x") == found


def test_another_machine_begins_anew(tmp_path: Path) -> None:
    old = run(tmp_path, Measurer())
    old.machine["processor"] = "another"
    old.save(tmp_path)
    measurer = Measurer()
    found = run(tmp_path, measurer, resume=True)
    assert len(measurer.calls) == 8
    assert found.machine["processor"] != "another"


def test_a_run_without_resume_begins_anew(tmp_path: Path) -> None:
    run(tmp_path, Measurer())
    assert len(run(tmp_path, Measurer()).values("one", "few", "ms")) == 2
