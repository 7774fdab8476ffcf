"""Draws diagnostics for people, and as JSON for programs.

Decides the drawing only: place, source line, arrow, evidence, last lines, what did not happen, hint. Readable
without colour; what a terminal would act upon is made harmless.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from msgspec import Struct

from launchpad.errors import Diagnostic, Label

Read = Callable[[str], "list[str] | None"]
"""The lines of a file, or None where it cannot be read (any more)."""

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_STYLES = {"error": "1;31", "warning": "1;33", "title": "1", "gutter": "34", "hint": "36", "second": "34"}
_TAB = "    "
LOG_COLUMNS = 400
"""What a program printed says at its end what matters: the last folder of a path, the reason after the cause. A terminal
wraps it."""
_MAX_BYTES = 2_000_000


def render(
    diagnostics: Iterable[Diagnostic], *, color: bool, width: int = 100, read: Read | None = None
) -> str:
    """All of them, a blank line between two; ends with a newline unless there are none. `width` in columns:
    longer source lines are cut around their arrow, other lines are left to the terminal."""
    lines_of = _remembered(read or _read_file)
    pen = _Pen(color, max(40, width))
    return "\n".join("".join(f"{line}\n" for line in _draw(one, pen, lines_of)) for one in diagnostics)


def to_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """One object of `check --json`. `line` and `column` count from 1, and are null where there is no place."""
    span = diagnostic.labels[0].span if diagnostic.labels else None
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "file": shortened(span.file) if span else None,
        "line": span.line if span else None,
        "column": span.column if span else None,
        "end_line": span.end_line if span else None,
        "end_column": span.end_column if span else None,
        "hint": diagnostic.hint or None,
        "notes": list(diagnostic.notes),
        "consequence": diagnostic.consequence or None,
        "related": [_related(label) for label in diagnostic.labels[1:]],
    }


def _related(label: Label) -> dict[str, Any]:
    span = label.span
    return {"file": shortened(span.file), "line": span.line, "column": span.column, "message": label.text}


def shortened(file: str) -> str:
    """The path from the working folder, where that is shorter."""
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):
        return file
    return relative if len(relative) < len(file) else file


class _Pen(Struct, frozen=True):
    color: bool
    width: int

    def paint(self, text: str, style: str) -> str:
        code = _STYLES.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and code and text else text


def _draw(one: Diagnostic, pen: _Pen, lines_of: Read) -> Iterator[str]:
    head = pen.paint(f"{one.severity}[{one.code}]", one.severity)
    yield f"{head}{pen.paint(f': {clean(one.message)}', 'title')}"
    gutter = max(2, *(len(str(label.span.line)) for label in one.labels)) if one.labels else 2
    margin = " " * gutter
    bar = pen.paint(f"{margin} |", "gutter")
    drawn = False
    if one.labels:
        yield f"{pen.paint(f'{margin}-->', 'gutter')} {_place(one.labels[0])}"
        source = list(_source(one, pen, lines_of, gutter, bar))
        drawn = bool(source)
        yield from source
    if drawn and (one.notes or one.log or one.consequence):
        yield bar
    equals = pen.paint(f"{margin} =", "gutter")
    for note in one.notes:
        yield from _noted(equals, margin, note)
    for line in one.log:
        yield f"{bar}   {_cut(clean(line), LOG_COLUMNS)}"
    if one.consequence:
        yield from _noted(equals, margin, one.consequence)
    if one.hint:
        yield f"{pen.paint('hint:', 'hint')} {clean(one.hint)}"


def _noted(equals: str, margin: str, note: str) -> Iterator[str]:
    first, *rest = note.splitlines() or [""]
    yield f"{equals} {clean(first)}"
    for line in rest:
        yield f"{margin}   {clean(line)}"


def _place(label: Label) -> str:
    return f"{clean(shortened(label.span.file))}:{label.span.line}:{label.span.column}"


class _Marked(Struct, frozen=True):
    """A source line that labels point into; `main` says which of them is the first of the diagnostic."""

    number: int
    line: str
    labels: tuple[tuple[Label, bool], ...]


def _source(one: Diagnostic, pen: _Pen, lines_of: Read, gutter: int, bar: str) -> Iterator[str]:
    """Every file's marked lines, each file in the order of its lines, the first label's file first."""
    for index, file in enumerate(dict.fromkeys(label.span.file for label in one.labels)):
        marked = list(_marked(one, file, lines_of))
        if index:
            place = next(label for label in one.labels if label.span.file == file)
            margin = " " * gutter
            yield f"{pen.paint(f'{margin}:::', 'gutter')} {_place(place)}"
        if marked:
            yield bar
        before = 0
        for line in marked:
            if before and line.number > before + 1:
                yield pen.paint("...", "gutter")
            before = line.number
            yield from _line(line, one.severity, pen, gutter, bar)


def _marked(one: Diagnostic, file: str, lines_of: Read) -> Iterator[_Marked]:
    lines = lines_of(file)
    here = [(label, index == 0) for index, label in enumerate(one.labels) if label.span.file == file]
    for number in sorted({label.span.line for label, _ in here}):
        if lines is not None and number <= len(lines):
            labels = tuple(pair for pair in here if pair[0].span.line == number)
            yield _Marked(number, lines[number - 1], labels)


def _line(marked: _Marked, severity: str, pen: _Pen, gutter: int, bar: str) -> Iterator[str]:
    room = pen.width - gutter - 3
    window = _window(marked, room)
    number = pen.paint(f"{marked.number:>{gutter}} |", "gutter")
    yield f"{number} {window.text}".rstrip()
    placed = sorted(
        ((*window.place(label), label, main) for label, main in marked.labels), key=lambda p: p[0]
    )
    if all(one[0] + one[1] < other[0] for one, other in pairwise(placed)):
        yield from _side_by_side(placed, severity, pen, bar)
        return
    for start, length, label, main in sorted(placed, key=lambda p: not p[3]):
        yield f"{bar} {' ' * start}{_arrow(length, label.text, main, severity, pen)}"


_Placed = tuple[int, int, Label, bool]
"""Column on the screen, length, the label, and whether it is the diagnostic's first."""


def _side_by_side(placed: Sequence[_Placed], severity: str, pen: _Pen, bar: str) -> Iterator[str]:
    """All arrows in one row, the last one's words beside it, the others' below them."""
    row, column = "", 0
    for start, length, label, main in placed:
        words = label.text if label is placed[-1][2] else ""
        row += " " * (start - column) + _arrow(length, words, main, severity, pen)
        column = start + length
    yield f"{bar} {row}"
    for start, _, label, main in reversed(placed[:-1]):
        if label.text:
            yield f"{bar} {' ' * start}{pen.paint(clean(label.text), severity if main else 'second')}"


def _arrow(length: int, words: str, main: bool, severity: str, pen: _Pen) -> str:
    text = ("^" if main else "-") * length + (f" {clean(words)}" if words else "")
    return pen.paint(text, severity if main else "second")


class _Window(Struct, frozen=True):
    """The part of a line that is shown: cells of the screen, not characters."""

    text: str
    cells: tuple[int, ...]
    """Column on the screen at which each character begins, from character `skipped` on, and the end."""
    left: int
    right: int
    skipped: int = 0

    def place(self, label: Label) -> tuple[int, int]:
        """Where an arrow begins, and how long it is: at least one, at most to the line's shown end."""
        span = label.span
        start, end = self._cell(span.column), self.cells[-1]
        if span.end_line == span.line:
            end = self._cell(max(span.end_column, span.column))
        start, end = max(start, self.left), min(end, self.right)
        return max(0, start - self.left), max(1, end - start)

    def _cell(self, column: int) -> int:
        return self.cells[max(0, min(column - 1 - self.skipped, len(self.cells) - 1))]


def _window(marked: _Marked, room: int) -> _Window:
    whole = marked.line.rstrip()
    column = min(marked.labels[0][0].span.column - 1, len(whole))
    skipped = max(0, column - 2 * room)
    line = whole[skipped : column + 2 * room]
    pieces = [_TAB if char == "\t" else clean(char) for char in line]
    cells = [0]
    for piece in pieces:
        cells.append(cells[-1] + _cells(piece))
    if cells[-1] <= room and len(line) == len(whole):
        return _Window("".join(pieces), tuple(cells), 0, cells[-1] + 1)
    first = _first_shown(cells, column - skipped, room)
    shown, left = [], cells[first]
    for index in range(first, len(pieces)):
        if cells[index + 1] - left > room - 2:
            break
        shown.append(pieces[index])
    last = first + len(shown)
    before = first + skipped > 0
    text = ("…" if before else "") + "".join(shown) + ("…" if skipped + last < len(whole) else "")
    return _Window(text, tuple(cells), left - before, cells[last], skipped)


def _first_shown(cells: Sequence[int], column: int, room: int) -> int:
    """The first character to show so that the arrow stands in the first third."""
    if cells[min(column, len(cells) - 1)] < room * 2 // 3:
        return 0
    wanted = cells[min(column, len(cells) - 1)] - room // 3
    return next(index for index, cell in enumerate(cells) if cell >= wanted)


def _cells(text: str) -> int:
    """Columns on a terminal: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _cut(text: str, room: int) -> str:
    """A line that is not longer than `room` columns."""
    if _cells(text) <= room:
        return text
    used = 0
    for end, char in enumerate(text):
        used += _cells(char)
        if used > room - 1:
            return f"{text[:end]}…"
    return text


def clean(text: str) -> str:
    """Text that a terminal only shows: control characters are replaced."""
    if text.isprintable():
        return text
    return "".join(_clean(char) for char in text.replace("\t", _TAB))


def _clean(char: str) -> str:
    if char.isprintable() or (unicodedata.category(char) in ("Zs", "Cf") and char not in _REORDERING):
        return char
    return " " if char in "\n\r" else "\N{REPLACEMENT CHARACTER}"


_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\ufeff")
"""Characters that make a terminal show text in another order than it is written."""


def _remembered(read: Read) -> Read:
    known: dict[str, list[str] | None] = {}
    return partial(_recall, known, read)


def _recall(known: dict[str, list[str] | None], read: Read, file: str) -> list[str] | None:
    if file not in known:
        known[file] = read(file)
    return known[file]


def _read_file(file: str) -> list[str] | None:
    try:
        with open(file, "rb") as stream:
            data = stream.read(_MAX_BYTES)
    except OSError:
        return None
    return _BREAK.split(data.decode("utf-8-sig", "replace"))
