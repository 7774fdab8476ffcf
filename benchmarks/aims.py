"""What launchpad wants to reach, and whether it does. Numbers for a small machine: two cores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.figures import exponent, percentile
from benchmarks.results import Results
from benchmarks.scenarios.start import AGAIN

Found = float | None
Sheets = Mapping[str, Results]


@dataclass(frozen=True)
class Aim:
    text: str
    limit: float
    unit: str
    value: Callable[[Sheets], Found]


def value(
    key: str, column: str, measure: str, p: float = 50, row: str = "launchpad"
) -> Callable[[Sheets], Found]:
    """A percentile of what was measured."""

    def find(sheets: Sheets) -> Found:
        found = sheets[key].values(row, column, measure) if key in sheets else []
        return percentile(found, p) if found else None

    return find


def over(one: Callable[[Sheets], Found], other: Callable[[Sheets], Found]) -> Callable[[Sheets], Found]:
    """A ratio of the two."""

    def find(sheets: Sheets) -> Found:
        above, below = one(sheets), other(sheets)
        return above / below if above is not None and below else None

    return find


def peer(count: str) -> Callable[[Sheets], Found]:
    """How long process-compose takes to start so many."""
    return value("a", f"{count} services", "last", row="process-compose")


def growth(measure: str) -> Callable[[Sheets], Found]:
    def find(sheets: Sheets) -> Found:
        return slope(sheets["i"], "launchpad", measure) if "i" in sheets else None

    return find


def slope(sheet: Results, row: str, measure: str) -> Found:
    """The exponent, from 100 services on; what a start costs whatever is started would hide it below."""
    points = [
        (float(n), value) for n in sheet.columns if int(n) >= 100 for value in sheet.values(row, n, measure)
    ]
    return exponent(points)


def output(row: str, measure: str) -> Callable[[Sheets], Found]:
    """Per GB, whatever the size was."""

    def find(sheets: Sheets) -> Found:
        sheet = sheets.get("c")
        return (
            value("c", sheet.columns[0], measure, row=row)(sheets)
            if sheet is not None and sheet.columns
            else None
        )

    return find


def reload_at_most(sheets: Sheets) -> Found:
    """One of the most, against one of 100."""
    sheet = sheets.get("i")
    most = sheet.columns[-1] if sheet is not None and sheet.columns else ""
    return over(value("i", most, "reload"), value("i", "100", "reload"))(sheets)


DIRECT = "straight to a file"
PROBED = "100 services, http liveness every 5 s"
LISTEN, DEAF = "100 that listen", "4 deaf ones, grace 3 s"
IN_PLACE = "launchpad, saved in place"
PYTHON = value("g", "", "version", row="a loop in Python")

AIMS = (
    Aim("start of 1 service", 130, "ms", value("a", "1 services", "last")),
    Aim("start of 1 service, the file as before", 60, "ms", value("a", "1 services", "last", row=AGAIN)),
    Aim("start of 100, of what process-compose takes", 1, "×", over(value("a", "100 services", "last"), peer("100"))),
    Aim("start of 500, of what process-compose takes", 1, "×", over(value("a", "500 services", "last"), peer("500"))),
    Aim("chain of 10 servers, overhead", 100, "ms", value("b", "", "overhead")),
    Aim("first 200 → dependent, median", 5, "ms", value("b", "", "latency")),
    Aim("first 200 → dependent, 95th percentile", 20, "ms", value("b", "", "latency", 95)),
    Aim("output, file rotated: child's time, of writing straight", 1.05, "×",
        over(output("launchpad, file, rotated", "wall"), output(DIRECT, "wall"))),
    Aim("output, file rotated: launchpad's CPU per GB", 0.3, "s", output("launchpad, file, rotated", "cpu")),
    Aim("output, console: child's time, of writing straight", 1.1, "×",
        over(output("launchpad, console to /dev/null", "wall"), output(DIRECT, "wall"))),
    Aim("output, JSON lines: child's time, of writing straight", 1.1, "×",
        over(output("launchpad, JSON lines", "wall"), output(DIRECT, "wall"))),
    Aim("stop of 100: children gone", 25, "ms", value("d", LISTEN, "children")),
    Aim("stop of 100: launchpad gone", 120, "ms", value("d", LISTEN, "launcher")),
    Aim("stop of 4 deaf ones, grace 3 s: all gone", 3300, "ms", value("d", DEAF, "launcher")),
    Aim("save → new process, median", 60, "ms", value("e", "", "ms", row=IN_PLACE)),
    Aim("save → new process, 95th percentile", 100, "ms", value("e", "", "ms", 95, row=IN_PLACE)),
    Aim("idle with 100 services: CPU", 0.3, "%", value("f", "100 services", "cpu")),
    Aim("idle with 100 services: memory", 45, "MB", value("f", "100 services", "memory")),
    Aim("100 http liveness checks every 5 s: CPU", 2, "%", value("f", PROBED, "cpu")),
    Aim("`--version`, of a bare interpreter's start", 2.5, "×", over(value("g", "", "version"), PYTHON)),
    Aim("`ps`, of a bare interpreter's start", 5, "×", over(value("g", "", "status"), PYTHON)),
    Aim("`check` of 500 services", 500, "ms", value("g", "", "check")),
    Aim("5 at once on one range: ports given twice", 0, "", value("h", "", "collisions", 100)),
    *(Aim(f"growth of {what}, exponent", 1.1, "", growth(what)) for what in ("start", "reload", "status", "stop", "memory")),
    Aim("edit of one of the most, of an edit of one of 100", 2, "×", reload_at_most),
    Aim("crash → replacement", 10, "ms", value("j", "", "ms")),
)  # fmt: skip
