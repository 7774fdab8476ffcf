"""Output of many services as one stream of prefixed lines.

Decides how lines look, when an unfinished one is shown, and when a slow console is told less. Reads spools
only; refuses to know services, processes and terminals. Whatever blocks here blocks this reader and
nobody else, and memory is bounded: what is not yet shown stays on disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from launchpad.views.assemble import RESET, Assembler

CHUNK = 128 * 1024
"""Bytes read at a time: twice as much costs a quarter more for each byte, in memory that is given back in between."""
SILENCE_S = 0.2
"""After this long without more, an unfinished line is shown as it is."""
REDRAW_S = 5.0
"""A line that is drawn over and over is shown this often at most."""
BEHIND = 4 * 1024 * 1024
"""Bytes by which a slow console may be behind before it is told less."""
RESUME_LINES = 100
COUNTED = 256 * 1024 * 1024
"""Skipped output up to this size is counted in lines, more of it in bytes."""


class Spool(Protocol):
    """One service's output on disk. Offsets count from its first byte ever, also when its head is gone."""

    def read_from(self, offset: int, limit: int) -> tuple[bytes, int]: ...
    def end(self) -> int: ...
    def tail_offset(self, lines: int) -> int: ...


Mark = tuple[int, int, int]
OpenSpool = Callable[[Path], Spool]
Write = Callable[[str], None]


def open_spool(path: Path) -> Spool:
    """The spool at `path`, which need not exist yet."""
    from launchpad.hosts.local.spool_reader import SpoolReader

    return SpoolReader(path)


class _Tail(Struct):
    name: str
    spool: Spool
    offset: int
    prefix: str
    lines: Assembler
    shown: bool
    fed_at: float = 0.0
    begun_at: float = 0.0
    drawn_at: float = float("-inf")
    drawn: str = ""
    path: Path | None = None
    read: Mark | None = None
    """How its file looked before a look that found nothing new; None: there may be more, or there is no file."""


class Meter:
    """Watches how much of the time a console spends blocking its writer."""

    WINDOW_S = 1.0

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._blocked_s = 0.0
        self.slow = False

    def call(self, write: Write, text: str) -> None:
        begun = self._clock()
        write(text)
        now = self._clock()
        self._blocked_s += now - begun
        elapsed = now - self._since
        if elapsed >= self.WINDOW_S:
            self.slow = self._blocked_s / elapsed > 0.5
            self._since, self._blocked_s = now, 0.0


class Follower:
    """Follows spools and writes what comes, a service's name before each line.

    `write` takes finished text and may block. `may_skip`: a reader that falls too far behind is told less;
    `advice` is the command that shows it all."""

    def __init__(
        self,
        write: Write,
        *,
        color: bool,
        may_skip: bool = True,
        open_spool: OpenSpool = open_spool,
        advice: str = "launchpad logs",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._color = color
        self._may_skip = may_skip
        self._open = open_spool
        self._advice = advice
        self._clock = clock
        self._meter = Meter(clock)
        self._tails: dict[str, _Tail] = {}
        self._width = 0
        self.written = 0
        """Lines written so far."""

    def add(self, name: str, path: Path, offset: int | None = None, *, shown: bool = True) -> None:
        """Follow `path` from `offset` (None: from where it ends now). `shown=False`: only keep its
        last line. A service that is followed already stays as it is, except for `shown`."""
        if name in self._tails:
            self._tails[name].shown = shown
            return
        spool = self._open(path)
        start = _end(spool) if offset is None else offset
        self._tails[name] = _Tail(name, spool, start, "", Assembler(color=self._color), shown, path=path)
        self._set_prefixes()

    def last_line(self, name: str) -> str:
        """What a service printed last, without colours; empty if nothing is known."""
        return self._tails[name].lines.last if name in self._tails else ""

    def pump(self) -> bool:
        """Write what has come, a bounded piece of each service; true if there may be more."""
        more = False
        text: list[str] = []
        for tail in self._tails.values():
            looks = _mark(tail.path)
            if looks is None or looks != tail.read:
                before = tail.offset
                more = self._read(tail, text) or more
                tail.read = looks if tail.offset == before else None
        self._emit(text)
        return more

    def due(self) -> float | None:
        """Seconds until an unfinished line has to be shown by `pump_unfinished`; None if there is none."""
        now = self._clock()
        times = [self._due(tail) - now for tail in self._tails.values() if self._waits(tail)]
        return max(0.0, min(times)) if times else None

    def pump_unfinished(self) -> None:
        """Show unfinished lines that have been silent long enough."""
        now = self._clock()
        text: list[str] = []
        for tail in self._tails.values():
            if self._waits(tail) and self._due(tail) <= now:
                self._show_unfinished(tail, text, now, final=False)
        self._emit(text)

    def finish(self, names: Iterable[str] | None = None, *, unfinished: bool = True) -> None:
        """Write everything that these services (None: all) have written until now; `unfinished`: also a
        last line that never ended."""
        for name in list(self._tails if names is None else names):
            if name in self._tails:
                self._drain(self._tails[name])
                text: list[str] = []
                if unfinished and self._tails[name].shown and self._tails[name].lines.pending:
                    self._show_unfinished(self._tails[name], text, self._clock(), final=True)
                self._emit(text)

    def _drain(self, tail: _Tail) -> None:
        end = _end(tail.spool)
        while tail.offset < end:
            text: list[str] = []
            before = tail.offset
            self._read(tail, text)
            self._emit(text)
            if tail.offset <= before:
                return

    def _read(self, tail: _Tail, text: list[str]) -> bool:
        if not tail.shown:
            tail.offset = max(tail.offset, _end(tail.spool) - 4096)
        elif self._may_skip and self._meter.slow and _end(tail.spool) - tail.offset > BEHIND:
            self._skip(tail, text)
        try:
            data, after = tail.spool.read_from(tail.offset, CHUNK)
        except FileNotFoundError:
            return False
        lost = after - len(data) - tail.offset
        tail.offset = after
        if lost > 0 and tail.shown:
            text.append(self._line(tail, f"… {_size(lost)} of output are no longer kept"))
        if not data:
            return False
        tail.fed_at = self._clock()
        waited = tail.lines.pending
        lines = tail.lines.feed(data)
        if lines or not waited:
            tail.begun_at = tail.fed_at
        if tail.shown:
            self._add_lines(tail, lines, text)
        return len(data) >= CHUNK

    def _add_lines(self, tail: _Tail, lines: list[str], text: list[str]) -> None:
        if lines and tail.drawn and lines[0] == tail.drawn:
            del lines[0]
        if lines:
            tail.drawn = ""
            tail.drawn_at = float("-inf")
            text.append(tail.prefix + f"\n{tail.prefix}".join(lines) + "\n")
            self.written += len(lines)

    def _skip(self, tail: _Tail, text: list[str]) -> None:
        target = tail.spool.tail_offset(RESUME_LINES)
        if target <= tail.offset:
            return
        amount = _count(tail.spool, tail.offset, target)
        if tail.lines.pending:
            self._add_lines(tail, [tail.lines.take()], text)
        tail.offset = target
        text.append(self._line(tail, f"… {amount} skipped ({self._advice} {tail.name})"))

    def _waits(self, tail: _Tail) -> bool:
        return tail.shown and tail.lines.pending and tail.fed_at > tail.drawn_at

    def _due(self, tail: _Tail) -> float:
        if tail.lines.is_progress:
            return max(tail.begun_at + SILENCE_S, tail.drawn_at + REDRAW_S)
        return tail.fed_at + SILENCE_S

    def _show_unfinished(self, tail: _Tail, text: list[str], now: float, *, final: bool) -> None:
        if tail.lines.is_progress and not final:
            line = tail.lines.peek()
            tail.drawn_at = now
            if line == tail.drawn:
                return
            tail.drawn = line
        else:
            line = tail.lines.take()
            if final and line == tail.drawn:
                return
        if line:
            text.append(self._line(tail, line))
            self.written += 1

    def _line(self, tail: _Tail, text: str) -> str:
        return f"{tail.prefix}{text}\n"

    def _emit(self, text: list[str]) -> None:
        if text:
            self._meter.call(self._write, "".join(text))

    def _set_prefixes(self) -> None:
        width = max(len(name) for name in self._tails)
        if width == self._width and all(tail.prefix for tail in self._tails.values()):
            return
        self._width = width
        paint = colors(self._tails) if self._color else {}
        for name, tail in self._tails.items():
            text = f"{name.ljust(width)} │ "
            tail.prefix = f"\x1b[{paint[name]}m{text}{RESET}" if self._color else text


def colors(names: Iterable[str]) -> Mapping[str, str]:
    """A colour (the number of its escape sequence) for each name, by its place in the stack."""
    from honcho.colour import get_colours

    return dict(zip(names, get_colours(), strict=False))


def _mark(path: Path | None) -> Mark | None:
    """Differs when the file was written to, cut, or is another one."""
    try:
        found = os.stat(path or "")
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _end(spool: Spool) -> int:
    try:
        return spool.end()
    except FileNotFoundError:
        return 0


def _count(spool: Spool, start: int, stop: int) -> str:
    if stop - start > COUNTED:
        return _size(stop - start)
    lines = 0
    while start < stop:
        data, after = spool.read_from(start, min(1 << 20, stop - start))
        if after <= start:
            break
        lines += data.count(b"\n")
        start = after
    return f"{lines:,} lines"


def _size(amount: int) -> str:
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if amount >= size:
            return f"{amount / size:.1f} {unit}"
    return f"{amount} bytes"
