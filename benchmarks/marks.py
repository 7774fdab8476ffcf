"""What the measured children say of themselves; see `children/actor.c`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mark:
    name: str
    what: str
    ns: int
    """Of the monotonic clock."""
    pid: int
    extra: int


def read(path: Path, what: str | None = None) -> list[Mark]:
    """In the order of their times. A line that is still being written is left for the next time."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1]
    found = [mark(line) for line in whole.splitlines()]
    return sorted((m for m in found if what in (None, m.what)), key=lambda m: m.ns)


def mark(line: str) -> Mark:
    name, what, ns, pid, extra = line.split(" ")
    return Mark(name, what, int(ns), int(pid), int(extra))
