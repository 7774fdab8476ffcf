"""What is measured, as values: a service as every launcher can be told of it, a scenario, its rows and columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.adapters.base import Adapter

Sample = dict[str, float]
"""One repetition: a value for each measure it has one for."""


class Failed(Exception):
    """A cell has no figure, and why, in words for its reader."""


@dataclass(frozen=True)
class Service:
    """A child, as an adapter has to tell its launcher of it. Times in seconds."""

    name: str
    argv: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Of which each has to answer http 200 before this one starts."""
    port: int | None = None
    """It listens there, and is ready when it answers 200 to `/`."""
    port_range: str | None = None
    """It is to get a free one of these as `$PORT`: `8000-8099`."""
    alive_s: float | None = None
    """Ask `/` on its port so often whether it lives."""
    restart: bool = False
    """Start it again, at once, however often it ends."""
    grace_s: float = 10.0
    output: str = "console"
    """`console`, `file` (with rotation) or `jsonl`; `short`: the file that is its stdout, of which the last part is kept."""


@dataclass(frozen=True)
class Row:
    """A contestant: an adapter, and what is special about it here."""

    label: str
    adapter: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    label: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    key: str
    title: str
    unit: str
    digits: int = 0
    p95: bool = False
    """The tables tell it, too."""


@dataclass(frozen=True)
class Scenario:
    key: str
    title: str
    about: str
    """What exactly is measured, for the page."""
    measures: tuple[Measure, ...]
    rows: Callable[[Sequence[Adapter]], list[Row]]
    columns: Callable[[bool], list[Column]]
    """Given whether it has to be quick."""
    measure: Callable[[Adapter, dict[str, Any]], list[Sample]]
    """Given the options of row and column together. Raises `Failed`."""
    needs: str = ""
    """The feature without which an adapter has an empty cell."""
    rounds: tuple[int, int] = (7, 3)
    """So often; and so often when it has to be quick."""
    limit_s: float = 60.0
    """The longest that a cell may take."""
    reference: str = ""
    """The row that ratios refer to; launchpad's first without it."""
    plotted: tuple[str, str] = ("", "")
    """Measure and column of the picture; the first measure and the last column without it."""
    grows: bool = False
    """Its columns are numbers of services: the exponent is told, and the picture has lines."""


def everybody(adapters: Sequence[Adapter]) -> list[Row]:
    return [Row(adapter.name, adapter.name) for adapter in adapters if not adapter.only_for]


def once(quick: bool) -> list[Column]:
    return [Column("")]
