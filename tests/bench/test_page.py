"""The page: honest about who is ahead, with a reason in every empty cell; and its pictures are well-formed."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks import page, plot
from benchmarks.figures import figure
from benchmarks.results import Cell, Results
from benchmarks.scenarios import SCENARIOS

MACHINE = {
    "processor": "Some Processor",
    "cores": "2",
    "memory": "8 GiB",
    "kernel": "Linux 6",
    "python": "3.11.1",
}


def sheet(
    key: str, columns: list[str], measure: str, rows: dict[str, tuple[str, list[list[float]]]]
) -> Results:
    """Rows: label -> kind, and the values of each column."""
    made = Results(key, False, dict(MACHINE), "2026-01-01 00:00", {"launchpad": "9.9.9"}, columns=columns)
    for label, (kind, values) in rows.items():
        made.rows[label] = kind
        for column, found in zip(columns, values, strict=True):
            made.cells.setdefault(label, {})[column] = Cell([{measure: v} for v in found], "", len(found))
    return made


@pytest.fixture
def starting() -> Results:
    made = sheet(
        "a", ["1 services", "100 services"], "last",
        {
            "a loop in C": ("limit", [[2.0], [40.0]]),
            "launchpad": ("launchpad", [[100.0, 110.0, 120.0], [400.0]]),
            "quick": ("peer", [[55.0], [800.0]]),
            "tiny": ("peer", [[220.0], []]),
            "away": ("peer", [[], []]),
        },
    )  # fmt: skip
    made.cells["tiny"]["100 services"].missing = "no more than 10 services"
    made.cells["away"]["1 services"].missing = "away is not installed"
    return made


def test_a_cell_tells_median_spread_and_ratio(starting: Results) -> None:
    text = page.text({"a": starting}, "images")
    assert "| **launchpad** | 110 [102–118] | 400 |" in text
    assert "| quick | 55 ×0.5 | 800 ×2 |" in text
    assert "| *a loop in C* | 2 ×0.0182 | 40 ×0.1 |" in text


def test_an_empty_cell_has_its_reason_and_an_empty_row_is_named(starting: Results) -> None:
    text = page.text({"a": starting}, "images")
    assert "| tiny | 220 ×2 | – (no more than 10 services) |" in text
    assert "| away |" not in text
    assert "Not measured: away (away is not installed)." in text


def test_who_is_ahead_is_said_and_a_limit_is_no_peer(starting: Results) -> None:
    ahead = page.ahead({"a": starting})
    assert "- Starting, last child runs, 1 services: quick 55 (launchpad 110 ms)" in ahead
    assert "100 services" not in ahead
    assert "loop" not in ahead


def test_a_missed_aim_is_said(starting: Results) -> None:
    text = page.aims({"a": starting})
    assert "| start of 1 service | 130 ms | 110 ms | yes |" in text
    starting.rows["process-compose"] = "peer"
    starting.cells["process-compose"] = {"100 services": Cell([{"last": 200.0}], "", 1)}
    text = page.aims({"a": starting})
    assert "| start of 100, of what process-compose takes | 1 × | 2 × | **no** |" in text


def test_versions_machine_and_the_command_are_told(starting: Results) -> None:
    text = page.text({"a": starting}, "images")
    assert "Some Processor, 2 cores, 8 GiB, Linux 6, Python 3.11.1" in text
    assert "launchpad 9.9.9" in text
    assert "`scripts/bench --only a`" in text


def test_growth_has_an_exponent_from_100_on() -> None:
    values = [[500.0], [100.0], [1000.0]]
    growing = sheet("i", ["10", "100", "1000"], "start", {"launchpad": ("launchpad", values)})
    text = page.text({"i": growing}, "images")
    assert "| **launchpad** | 500 | 100 | 1,000 | 1.00 |" in text
    assert "| growth of start, exponent | 1.1 | 1 | yes |" in text


def test_without_results_it_says_so() -> None:
    assert "Nothing has been measured yet." in page.text({}, "images")


def test_the_page_and_its_pictures_are_written(starting: Results, tmp_path: Path) -> None:
    starting.save(tmp_path / "results")
    page.write(tmp_path / "results", tmp_path / "page.md", tmp_path / "images")
    assert "](images/benchmark-a.svg)" in (tmp_path / "page.md").read_text()
    picture = ElementTree.parse(tmp_path / "images" / "benchmark-a.svg")
    words = "".join(picture.getroot().itertext())
    assert "launchpad" in words
    assert "quick" in words


def test_an_axis_is_logarithmic() -> None:
    axis = plot.Axis([1.0, 1000.0], 0, 300)
    assert [axis.at(value) for value in (0.0, 1.0, 10.0, 1000.0)] == pytest.approx([0, 0, 100, 300])


def test_a_label_cannot_break_the_picture() -> None:
    one = figure([1.0])
    assert one is not None
    ElementTree.fromstring(
        plot.bars("<a & b>", "ms", [plot.Bar("<x>", "peer", one), plot.Bar("y", "limit", one)])
    )
    ElementTree.fromstring(plot.lines("a", "ms", [("<x>", [(10.0, 1.0), (100.0, 0.0)]), ("none", [])]))


def test_numbers_have_three_digits_that_count() -> None:
    assert list(map(plot.number, (0, 0.01234, 1.5, 12.34, 1234.5))) == ["0", "0.0123", "1.5", "12.3", "1,234"]


def test_scenarios_have_keys_of_their_own() -> None:
    assert len({scenario.key for scenario in SCENARIOS}) == len(SCENARIOS)
