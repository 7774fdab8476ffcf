"""Reading what a service has printed: one endless stream of bytes, whatever of it is kept.

The service itself writes `NAME.log`. Once that grows too large its head becomes a hole, and later the hole is taken off
(`spool_cut` does both, while the service writes on). An offset counts bytes ever printed, so it stays true over such
changes: the name of an empty file in `NAME.old` tells where the log begins. Knows no asyncio, writes nothing.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

CUT_PREFIX = "cut."
"""`NAME.old/cut.FLOOR.HOLE`: a change that is under way, and what is so after it."""
_MARK = re.compile(r"(?:cut\.)?\d+\.\d+")
_CUT_WAIT_S = 0.5
_CUT_LOOK_S = 0.001
"""Between two looks whether a change is under way. It takes a few of these, once in many megabytes; to be told
would cost each of any number of readers a descriptor of inotify, of which a user has 128."""
_BLOCK = 65536


class Mark(Struct, frozen=True):
    """`floor` is the offset of the first byte that is kept, `hole` how many bytes of the file lie before it. No two
    changes of a log lead to the same mark."""

    floor: int = 0
    hole: int = 0

    @property
    def name(self) -> str:
        return f"{self.floor}.{self.hole}"

    @classmethod
    def of(cls, name: str) -> Mark:
        floor, hole = name.removeprefix(CUT_PREFIX).split(".")
        return cls(int(floor), int(hole))


class Layout(Struct, frozen=True):
    """`base` is the offset of the first byte of the file, `floor` the first one that is still in it (what is before it
    is a hole), `end` the one behind the last."""

    names: tuple[str, ...]
    base: int
    floor: int
    end: int


class SpoolReader:
    """Reads the log at `path`, whose file need not exist yet. Holds nothing open; any number of readers."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._old_dir = old_dir(self.path)
        self._left: tuple[str, ...] = ()

    def read_from(self, offset: int, limit: int) -> tuple[bytes, int]:
        """Up to `limit` bytes at `offset` and the offset behind them. If what was there is no longer kept,
        the oldest that is: `next - len(data)` is where the data really begins. No data: nothing new."""
        while True:
            layout, descriptor = self._open()
            try:
                at = _within(layout, offset)
                data = os.pread(descriptor, limit, at - layout.base) if descriptor is not None else b""
            finally:
                if descriptor is not None:
                    os.close(descriptor)
            if names_in(self._old_dir) == layout.names:
                return data, at + len(data)

    def end(self) -> int:
        """The offset behind the last byte."""
        return self.layout().end

    def start(self) -> int:
        """The offset of the oldest byte that is kept."""
        return self.layout().floor

    def tail_offset(self, lines: int) -> int:
        """Where the last `lines` lines begin; a last line without its end counts as one."""
        layout = self.layout()
        at, left = layout.end, lines
        if lines <= 0:
            return at
        while at > layout.floor:
            begin = max(layout.floor, at - _BLOCK)
            block = self._exactly(begin, at)
            stop = len(block) - 1 if at == layout.end and block.endswith(b"\n") else len(block)
            while (stop := block.rfind(b"\n", 0, stop)) >= 0:
                left -= 1
                if left == 0:
                    return at - len(block) + stop + 1
            at = begin
        return layout.floor

    def layout(self) -> Layout:
        """What lies where at this moment."""
        while True:
            layout, descriptor = self._open()
            if descriptor is not None:
                os.close(descriptor)
            if names_in(self._old_dir) == layout.names:
                return layout

    def _open(self) -> tuple[Layout, int | None]:
        names = self._calm_names()
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            descriptor = None
        try:
            return self._layout(names, descriptor), descriptor
        except BaseException:
            if descriptor is not None:
                os.close(descriptor)
            raise

    def _layout(self, names: tuple[str, ...], descriptor: int | None) -> Layout:
        size = os.fstat(descriptor).st_size if descriptor is not None else 0
        known = _newest(names)
        underway = next((name for name in names if name.startswith(CUT_PREFIX)), None)
        if underway is not None and is_done(self.path, underway):
            known = Mark.of(underway)
        # where somebody has emptied the file by hand it has no hole any more
        base = known.floor - (known.hole if descriptor is not None and known.hole and hole(descriptor) else 0)
        return Layout(names, base, known.floor, base + size)

    def _calm_names(self) -> tuple[str, ...]:
        """The names, once no change is under way; one that does not end was left by a crash."""
        names = names_in(self._old_dir)
        until = time.monotonic() + _CUT_WAIT_S
        while any(name.startswith(CUT_PREFIX) and name not in self._left for name in names):
            if time.monotonic() >= until:
                self._left = names
            time.sleep(_CUT_LOOK_S)  # see there why it is no event
            names = names_in(self._old_dir)
        return names

    def _exactly(self, begin: int, end: int) -> bytes:
        parts = []
        while begin < end:
            part, after = self.read_from(begin, end - begin)
            if not part:
                break
            parts.append(part)
            begin = after
        return b"".join(parts)


def old_dir(log: Path) -> Path:
    """Where it is told how much of `NAME.log` is no longer kept."""
    return log.with_suffix(".old")


def names_in(folder: Path) -> tuple[str, ...]:
    """The marks in it."""
    try:
        return tuple(sorted(filter(_MARK.fullmatch, os.listdir(folder))))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def mark(log: Path) -> Mark:
    """What is so of a log with no change under way."""
    return _newest(names_in(old_dir(log)))


def hole(descriptor: int) -> int:
    """How many bytes at the beginning of a file are a hole, as far as the file system tells."""
    try:
        return os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError:
        return 0


def is_done(log: Path, underway: str) -> bool:
    """Whether a change that was under way, when a crash interrupted it, was made."""
    before, after = mark(log), Mark.of(underway)
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        now = hole(descriptor)
    finally:
        os.close(descriptor)
    return now > before.hole if after.hole else now == 0


def _newest(names: Iterable[str]) -> Mark:
    """A hole that was taken off was there before."""
    marks = [Mark.of(name) for name in names if not name.startswith(CUT_PREFIX)]
    return max(marks, key=lambda one: (one.floor, -one.hole), default=Mark())


def ends(logs: Iterable[Path]) -> dict[str, int]:
    """Service → where its output ends now. Taken before a start, it is where that start's output begins."""
    return {path.stem: SpoolReader(path).end() for path in logs}


def _within(layout: Layout, offset: int) -> int:
    """The offset to read at. Behind the end means that somebody has emptied the log by hand."""
    if offset > layout.end:
        return layout.floor
    return max(offset, layout.floor)
