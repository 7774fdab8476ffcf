"""docs/benchmarks.md, made of the kept results alone: the same results, the same page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks import plot, results
from benchmarks.aims import AIMS, slope
from benchmarks.figures import figure, ratio
from benchmarks.model import Measure, Scenario
from benchmarks.plot import number
from benchmarks.results import Results
from benchmarks.scenarios import SCENARIOS

WIDEST = 6
"""So many columns of figures in a table; where it would have more, each measure gets a table of its own."""

HEAD = """\
<!-- Written by `scripts/bench`. Do not edit. -->

# Benchmarks

launchpad, its peers and the physical limit of the machine, side by side: one run on one machine, the contestants in turn, so
that whatever else the machine does meets all of them alike. Every child writes by itself when it began, answered or
finished, by the monotonic clock; no launcher's word is taken. Each cell is measured in a process of its own, with a limit of time.

```sh
scripts/bench --install     # the peers that the registries have, into a folder that git does not see
scripts/bench               # everything; `--minutes 45`, `--quick` in three minutes; `--only e,a`; `--resume`; `--page`
```

A cell tells the median, in brackets the 10th and the 90th percentile, and how often the reference, named with each table, goes into it.
A lower figure is better everywhere. Peers that were not at hand, or cannot do it, are named below the table with the reason.
"""


def gathered(folder: Path) -> dict[str, Results]:
    found = {scenario.key: results.load(folder, scenario.key) for scenario in SCENARIOS}
    return {key: sheet for key, sheet in found.items() if sheet is not None}


def write(folder: Path, page: Path, images: Path) -> None:
    sheets = gathered(folder)
    images.mkdir(parents=True, exist_ok=True)
    for scenario in SCENARIOS:
        if scenario.key in sheets and (drawn := drawing(scenario, sheets[scenario.key])):
            (images / f"benchmark-{scenario.key}.svg").write_text(drawn)
    page.write_text(text(sheets, images.name))


def text(sheets: Mapping[str, Results], images: str | None) -> str:
    """`images`: their folder, seen from the page; None for a page without."""
    if not sheets:
        return HEAD + "\nNothing has been measured yet.\n"
    measured = [scenario for scenario in SCENARIOS if scenario.key in sheets]
    parts = [HEAD, where(sheets), aims(sheets), ahead(sheets)]
    parts += [section(scenario, sheets[scenario.key], images) for scenario in measured]
    return "\n".join(parts)


def where(sheets: Mapping[str, Results]) -> str:
    lines = ["## Where, and what", ""]
    machines: dict[str, list[str]] = {}
    versions: dict[str, str] = {}
    for key, sheet in sheets.items():
        told = ", ".join(
            [sheet.machine["processor"], f"{sheet.machine['cores']} cores", sheet.machine["memory"],
             sheet.machine["kernel"], f"Python {sheet.machine['python']}"]
        )  # fmt: skip
        machines.setdefault(told, []).append(key)
        versions |= {name: version for name, version in sheet.versions.items() if version}
    lines += [
        f"- {told}: {', '.join(keys)}" if len(machines) > 1 else f"- {told}"
        for told, keys in machines.items()
    ]
    busy = [load for sheet in sheets.values() for load in sheet.loads]
    days = sorted(sheet.began for sheet in sheets.values())
    lines.append(f"- Measured {days[0]} to {days[-1]} (UTC).")
    if (load := figure(busy)) is not None:
        lines.append(
            f"- Load of the machine before the cells: median {load.median:.1f}, at most {max(busy):.1f}."
        )
    if quick := [key for key, sheet in sheets.items() if sheet.quick]:
        lines.append(f"- With few repetitions (`--quick`): {', '.join(quick)}.")
    lines += [
        "- Versions: " + ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) + ".",
        "",
    ]
    return "\n".join(lines)


def aims(sheets: Mapping[str, Results]) -> str:
    rows = []
    for aim in AIMS:
        found = aim.value(sheets)
        if found is None:
            continue
        unit = f" {aim.unit}" if aim.unit else ""
        verdict = "yes" if found <= aim.limit else "**no**"
        rows.append(f"| {aim.text} | {number(aim.limit)}{unit} | {number(found)}{unit} | {verdict} |")
    if not rows:
        return ""
    head = ["## What launchpad aims at", "", "| | aim: at most | here | reached |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def ahead(sheets: Mapping[str, Results]) -> str:
    lines = []
    for scenario in SCENARIOS:
        sheet = sheets.get(scenario.key)
        if sheet is None:
            continue
        for measure in scenario.measures:
            for column in sheet.columns:
                if better := better_peers(sheet, column, measure):
                    at = f", {column}" if column else ""
                    lines.append(f"- {scenario.title}, {measure.title}{at}: {better}")
    if not lines:
        return ""
    return "\n".join(["## Where a peer is ahead", "", *lines, ""])


def better_peers(sheet: Results, column: str, measure: Measure) -> str:
    """Peers with a lower median than the best of launchpad's rows, the best first."""
    medians = {row: figure(sheet.values(row, column, measure.key)) for row in sheet.rows}
    mine = [f.median for row, f in medians.items() if f and sheet.rows[row] == "launchpad"]
    if not mine or measure.key == "size":
        return ""
    peers = sorted(
        (f.median, row)
        for row, f in medians.items()
        if f and sheet.rows[row] == "peer" and f.median < min(mine)
    )
    unit = f" {measure.unit}" if measure.unit else ""
    names = ", ".join(f"{row} {number(median)}" for median, row in peers)
    return f"{names} (launchpad {number(min(mine))}{unit})" if peers else ""


def section(scenario: Scenario, sheet: Results, images: str | None) -> str:
    lines = [f"## {scenario.title}", "", scenario.about, ""]
    wide = len(sheet.columns) * len(scenario.measures) > WIDEST
    for group in [[m] for m in scenario.measures] if wide else [list(scenario.measures)]:
        lines += [*table(scenario, sheet, group), ""]
    if away := absent(sheet):
        lines += ["Not measured: " + "; ".join(away) + ".", ""]
    lines += [f"`scripts/bench --only {scenario.key}`, {repetitions(sheet)}.", ""]
    if images is not None and drawing(scenario, sheet):
        lines += [f"![{scenario.title}]({images}/benchmark-{scenario.key}.svg)", ""]
    return "\n".join(lines)


def table(scenario: Scenario, sheet: Results, measures: list[Measure]) -> list[str]:
    reference = reference_row(scenario, sheet)
    single = len(measures) == 1
    heads = [
        f"{column} {'' if single and column else measure.title}".strip()
        for column in sheet.columns
        for measure in measures
    ]
    first = f"{measures[0].title}, {measures[0].unit}".removesuffix(", ") if single else ""
    units = "" if single else ", ".join(f"{m.title}: {m.unit}" for m in measures if m.unit)
    more = ["exponent"] if scenario.grows else []
    lines = [
        f"| {first} | " + " | ".join([*heads, *more]) + " |",
        "|---" * (1 + len(heads) + len(more)) + "|",
    ]
    for row in present(sheet):
        cells = [cell(sheet, row, column, m, reference) for column in sheet.columns for m in measures]
        if scenario.grows:
            found = slope(sheet, row, measures[0].key)
            cells.append("–" if found is None else f"{found:.2f}")
        name = (
            f"**{row}**"
            if sheet.rows[row] == "launchpad"
            else f"*{row}*"
            if sheet.rows[row] == "limit"
            else row
        )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    note = f"× of {reference}." if reference else ""
    return [*lines, "", " ".join(filter(None, [units + "." if units else "", note]))]


def cell(sheet: Results, row: str, column: str, measure: Measure, reference: str) -> str:
    found = figure(sheet.values(row, column, measure.key))
    if found is None:
        kept = sheet.cells.get(row, {}).get(column)
        return f"– ({kept.missing})" if kept is not None and kept.missing else "–"
    shown = f"{found.median:,.{measure.digits}f}"
    if found.count > 1:
        shown += f" [{found.low:,.{measure.digits}f}–{found.high:,.{measure.digits}f}]"
    if measure.p95:
        shown += f", p95 {found.p95:,.{measure.digits}f}"
    to = figure(sheet.values(reference, column, measure.key)) if reference != row else None
    times = ratio(found.median, to.median) if to is not None else None
    return shown + (f" ×{number(times)}" if times is not None and measure.key != "size" else "")


def reference_row(scenario: Scenario, sheet: Results) -> str:
    if scenario.reference in sheet.rows:
        return scenario.reference
    return next((row for row, kind in sheet.rows.items() if kind == "launchpad"), "")


def present(sheet: Results) -> list[str]:
    """Rows with a figure, the limits first."""
    order = {"limit": 0, "launchpad": 1, "peer": 2}
    rows = [row for row in sheet.rows if any(cell.samples for cell in sheet.cells.get(row, {}).values())]
    return sorted(rows, key=lambda row: order[sheet.rows[row]])


def absent(sheet: Results) -> list[str]:
    there = present(sheet)
    reasons = {row: [c.missing for c in sheet.cells.get(row, {}).values() if c.missing] for row in sheet.rows}
    return [f"{row} ({reasons[row][0]})" for row in sheet.rows if row not in there and reasons[row]]


def repetitions(sheet: Results) -> str:
    counts = [cell.rounds for row in present(sheet) for cell in sheet.cells[row].values() if cell.samples]
    few, many = min(counts, default=0), max(counts, default=0)
    return f"{few} rounds" if few == many else f"{few} to {many} rounds"


def drawing(scenario: Scenario, sheet: Results) -> str:
    """Empty if there is nothing to draw."""
    measure = next((m for m in scenario.measures if m.key == scenario.plotted[0]), scenario.measures[0])
    if scenario.grows:
        series = [(row, medians(sheet, row, measure.key)) for row in present(sheet)]
        return plot.lines(f"{scenario.title}: {measure.title}", measure.unit, series)
    column = scenario.plotted[1] if scenario.plotted[1] in sheet.columns else sheet.columns[-1]
    found = {row: figure(sheet.values(row, column, measure.key)) for row in present(sheet)}
    rows = [plot.Bar(row, sheet.rows[row], f) for row, f in found.items() if f is not None]
    if len(rows) < 2 or not any(bar.figure.median > 0 for bar in rows):
        return ""
    at = f", {column}" if column else ""
    return plot.bars(f"{scenario.title}: {measure.title}{at}", measure.unit, rows)


def medians(sheet: Results, row: str, measure: str) -> list[tuple[float, float]]:
    found = {n: figure(sheet.values(row, n, measure)) for n in sheet.columns}
    return [(float(n), f.median) for n, f in found.items() if f is not None]
