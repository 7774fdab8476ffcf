"""What was measured, kept as JSON: one file for each scenario, written after every cell, so that a run can go on
where it was broken off. The page is made of these files alone.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.model import Sample


@dataclass
class Cell:
    samples: list[Sample] = field(default_factory=list)
    missing: str = ""
    """The reason of the last round in which there was no figure."""
    rounds: int = 0


@dataclass
class Results:
    """Of one scenario. `cells`: row's label, then column's."""

    scenario: str
    quick: bool
    machine: dict[str, str]
    began: str
    versions: dict[str, str] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)
    """Label -> kind: launchpad, peer, limit."""
    columns: list[str] = field(default_factory=list)
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)
    loads: list[float] = field(default_factory=list)
    """Of the machine, before each cell: others' work on it spoils figures."""

    def cell(self, row: str, column: str) -> Cell:
        return self.cells.setdefault(row, {}).setdefault(column, Cell())

    def values(self, row: str, column: str, measure: str) -> list[float]:
        cell = self.cells.get(row, {}).get(column)
        return [sample[measure] for sample in cell.samples if measure in sample] if cell else []

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{self.scenario}.json"
        part.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")
        part.replace(folder / f"{self.scenario}.json")


def load(folder: Path, scenario: str) -> Results | None:
    file = folder / f"{scenario}.json"
    if not file.exists():
        return None
    kept: dict[str, Any] = json.loads(file.read_text())
    cells = {
        row: {column: Cell(**cell) for column, cell in columns.items()}
        for row, columns in kept.pop("cells").items()
    }
    return Results(**kept, cells=cells)


def machine() -> dict[str, str]:
    """What the figures depend on. No name of the machine or its user."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def now() -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime())
