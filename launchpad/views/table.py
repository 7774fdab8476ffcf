"""`ps`: a stack as a table that people like to read.

Decides columns, their order, and what gives way when the terminal is narrow. Refuses to know where the
snapshot came from. Without a terminal nothing is cut off and rich is not imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from launchpad.control.api import ServiceView, Snapshot
from launchpad.views.words import (
    GLYPHS,
    LIVE_STATES,
    STYLES,
    duration,
    plain,
    ports_text,
    scaled_line,
    state_word,
    why,
)

if TYPE_CHECKING:
    from rich.text import Text

HEAD = ("NAME", "KIND", "STATE", "PID", "PORTS/URL", "UP", "RESTARTS", "GPUS", "WHY")
WHY_COLUMN = len(HEAD) - 1
GPUS_COLUMN = WHY_COLUMN - 1
"""There only where a service has some."""
ROOM_FOR_WHY = 24
"""Columns below which the reason goes on a line of its own."""


def row(view: ServiceView, now: float) -> tuple[str, ...]:
    """The cells of one service, in the order of `HEAD`."""
    return (
        view.name,
        view.kind,
        state_word(view),
        str(view.pid) if view.pid else "-",
        ports_text(view) or "-",
        _up(view, now),
        str(view.restarts) if view.restarts else "-",
        ",".join(map(str, view.gpu_numbers)) or "-",
        why(view),
    )


def _up(view: ServiceView, now: float) -> str:
    if view.state not in LIVE_STATES or view.started_at is None:
        return "-"
    return duration(now - view.started_at)


def heading(snapshot: Snapshot, now: float) -> str:
    up = duration(now - snapshot.started_at)
    return f"{snapshot.stack}: {snapshot.phase}, supervisor {snapshot.pid}, for {up}, {snapshot.file}"


def scaled(snapshot: Snapshot) -> list[str]:
    """What has another number of copies than the file says."""
    return [scaled_line(name, count, written) for name, (count, written) in snapshot.scaled.items()]


def plain_table(snapshot: Snapshot, now: float) -> str:
    """Aligned columns without colour; nothing is cut off, so that it can be searched and cut."""
    rows = [row(view, now) for view in snapshot.services]
    shown = [i for i in range(len(HEAD)) if i != GPUS_COLUMN or any(cells[i] != "-" for cells in rows)]
    widths = {i: max(len(cells[i]) for cells in (HEAD, *rows)) for i in shown}
    lines = []
    for cells in (HEAD, *rows):
        lines.append("  ".join(cells[i].ljust(widths[i]) for i in shown).rstrip())
    return "\n".join(lines) + "\n"


def print_table(snapshot: Snapshot, out: TextIO, *, width: int, color: bool, now: float) -> None:
    """Print the table on a terminal of `width` columns."""
    from rich.console import Console

    console = Console(
        file=out,
        width=width,
        force_terminal=color,
        color_system="auto" if color else None,
        no_color=not color,
        highlight=False,
        legacy_windows=False,
    )
    console.print(_heading(snapshot, now), no_wrap=True, overflow="ellipsis", crop=True)
    for line in _lines([(view, row(view, now)) for view in snapshot.services], width):
        console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    for text in scaled(snapshot):
        console.print(plain(text), style="yellow", markup=False, soft_wrap=True)
    if snapshot.stale:
        console.print(plain(snapshot.stale), style="yellow", markup=False, soft_wrap=True)
    for diagnostic in snapshot.diagnostics:
        style = "red" if diagnostic.is_error else "yellow"
        console.print(f"{diagnostic.severity}[{diagnostic.code}]: {plain(diagnostic.message)}",
                      style=style, markup=False, soft_wrap=True)  # fmt: skip


def _heading(snapshot: Snapshot, now: float) -> Text:
    from rich.text import Text

    style = {"up": "green", "finished": "dim"}.get(snapshot.phase, "yellow")
    line = Text.assemble((snapshot.stack, "bold"), "  ", (snapshot.phase, style))
    tail = f"  supervisor {snapshot.pid}, for {duration(now - snapshot.started_at)}  {snapshot.file}"
    return line.append(tail, "dim")


def _lines(rows: Sequence[tuple[ServiceView, tuple[str, ...]]], width: int) -> list[Text]:
    from rich.cells import cell_len

    shown = _columns([cells for _, cells in rows], width)
    widths = {i: max(cell_len(cells[i]) for cells in (HEAD, *(c for _, c in rows))) for i in shown}
    widths[2] += 2  # the glyph and a space
    used = sum(widths.values()) + 2 * len(widths)
    beside = width - used >= ROOM_FOR_WHY or all(used + cell_len(c[WHY_COLUMN]) <= width for _, c in rows)
    lines = [_line(HEAD, widths, beside, "", "bold dim")]
    for view, cells in rows:
        lines.append(_line(cells, widths, beside, state_word(view)))
        if cells[WHY_COLUMN] and not beside:
            lines.append(_reason_below(cells[WHY_COLUMN], state_word(view)))
    return lines


def _columns(rows: Sequence[tuple[str, ...]], width: int) -> list[int]:
    """Columns that fit, without the reason: in a narrow terminal the kind goes, then empty ones."""
    from rich.cells import cell_len

    shown = list(range(WHY_COLUMN))
    if all(cells[GPUS_COLUMN] == "-" for cells in rows):
        shown.remove(GPUS_COLUMN)
    empty = [i for i in (6, 4, 3, 5) if all(cells[i] == "-" for cells in rows)]
    for dropped in (1, *empty, 6, 3, 5):
        need = sum(max(cell_len(cells[i]) for cells in (HEAD, *rows)) + 2 for i in shown)
        if need <= width:
            break
        if dropped in shown:
            shown.remove(dropped)
    return shown


def _line(cells: Sequence[str], widths: dict[int, int], beside: bool, word: str, style: str = "") -> Text:
    from rich.cells import cell_len
    from rich.text import Text

    line = Text(style=style)
    for i, width in widths.items():
        cell = cells[i]
        if i == 2:
            cell = f"{GLYPHS[word]} {cell}" if word else f"  {cell}"
        line.append(cell + " " * (width - cell_len(cell) + 2), _cell_style(i, word))
    if beside:
        line.append(cells[WHY_COLUMN], "red" if word == "failed" else "")
    line.rstrip()
    return line


def _cell_style(column: int, word: str) -> str:
    if not word:
        return ""
    return {0: "bold", 1: "dim", 2: STYLES[word], 3: "dim", 4: "blue", 5: "dim", 7: "blue"}.get(column, "")


def _reason_below(text: str, word: str) -> Text:
    from rich.text import Text

    return Text.assemble(("  └ ", "dim"), (text, "red" if word == "failed" else "dim"))
