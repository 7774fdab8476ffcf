"""The table is whole: every case is in docs/faults.md, nothing else is, and no row tells of a loss that is not explained."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from tests.faults.table import CASES, gaps

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs" / "faults.md"


def listed() -> list[list[str]]:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    return [row for row in cells if row[0] != "fault"]


def test_every_case_is_listed() -> None:
    for file in sorted(HERE.glob("test_*.py")):
        importlib.import_module(f"tests.faults.{file.stem}")
    assert len(CASES) >= 30
    assert len({(case.area, case.fault) for case in CASES}) == len(CASES), "each has a name of its own"
    assert [row[:2] for row in listed()] == [
        [case.fault, case.how] for area in dict.fromkeys(AREAS) for case in CASES if case.area == area
    ]


AREAS = ["supervisor", "resources", "clock", "disk", "output", "trees", "strangers"]


def test_all_have_been_run_and_lost_nothing() -> None:
    for row in listed():
        assert row[2], f"not run: {row[0]}"
        assert row[3:6] == ["0", "0", "0"], row


def test_gaps_are_seen() -> None:
    assert gaps([0, 1, 2, 3]) == 0
    assert gaps([0, 1, 4]) == 2
    assert gaps([0, 1, 1]) == 1
    assert gaps([5, 6, 0, 1]) == 0
