"""The rounds: each contestant in turn, so that whatever drifts on the machine meets all of them alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.adapters.base import Adapter
from benchmarks.cell import Measured, measured
from benchmarks.model import Column, Row, Scenario
from benchmarks.results import Results

Measurer = Callable[[str, str, dict[str, object], float], Measured]


def scenario(
    what: Scenario,
    adapters: Sequence[Adapter],
    folder: Path,
    quick: bool,
    resume: bool = False,
    say: Callable[[str], None] = print,
    measurer: Measurer = measured,
    until: float | None = None,
) -> Results:
    """All rounds of one scenario; the file is complete after every cell. `until`: of the monotonic clock; after
    the first round nothing is begun later than that.
    """
    by_name = {adapter.name: adapter for adapter in adapters}
    rows, columns = what.rows(adapters), what.columns(quick)
    kept = begun(what, rows, columns, by_name, folder, quick, resume)
    rounds = what.rounds[1] if quick else what.rounds[0]
    for number in range(1, rounds + 1):
        for column in columns:
            for row in rows:
                if until is not None and number > 1 and time.monotonic() > until:
                    return kept
                cell = kept.cell(row.label, column.label)
                if cell.rounds >= number or gives_up(cell):
                    continue
                one(what, by_name[row.adapter], row, column, kept, measurer)
                kept.save(folder)
                say(f"{what.key} {number}/{rounds} {row.label:<42} {column.label:<24} {told(what, cell)}")
    return kept


def begun(
    what: Scenario, rows: list[Row], columns: list[Column], adapters: dict[str, Adapter], folder: Path,
    quick: bool, resume: bool,
) -> Results:  # fmt: skip
    """New results, or those that are continued: the same machine, the same kind of run."""
    old = results.load(folder, what.key) if resume else None
    here = results.machine()
    if old is not None and (old.machine, old.quick) == (here, quick):
        kept = old
    else:
        kept = Results(what.key, quick, here, results.now())
    kept.columns = [column.label for column in columns]
    for row in rows:
        adapter = adapters[row.adapter]
        kept.rows[row.label] = adapter.kind
        kept.versions[adapter.name] = "" if adapter.missing() else adapter.version()
    return kept


def one(
    what: Scenario, adapter: Adapter, row: Row, column: Column, kept: Results, measurer: Measurer
) -> None:  # fmt: skip
    cell = kept.cell(row.label, column.label)
    reason = adapter.missing() or (adapter.lacks.get(what.needs, "") if what.needs else "")
    if reason:
        cell.missing, cell.rounds = reason, 1_000_000
        return
    kept.loads.append(round(os.getloadavg()[0], 2))
    found = measurer(what.key, adapter.name, {**row.options, **column.options}, what.limit_s)
    cell.samples += found.samples
    cell.rounds += 1
    if found.missing:
        cell.missing = found.missing


def gives_up(cell: results.Cell) -> bool:
    """What failed twice and never went well is not tried again."""
    return bool(cell.missing) and not cell.samples and cell.rounds >= 2


def told(what: Scenario, cell: results.Cell) -> str:
    if not cell.samples:
        return f"- {cell.missing}"
    last = {
        measure.key: [s[measure.key] for s in cell.samples if measure.key in s] for measure in what.measures
    }
    return "  ".join(f"{key} {values[-1]:.4g}" for key, values in last.items() if values)
