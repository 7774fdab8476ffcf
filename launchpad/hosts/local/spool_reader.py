"""Reading what a service has printed: one endless stream of bytes, whatever files hold it.

The stream's newest part is `NAME.log`, which the service itself writes. Once that grows too large its head
moves to `NAME.old/START`, named by the offset of its first byte (`spool_cut` does that, while the service
writes on). An offset counts bytes ever printed, so it stays true over such moves. All is told by the names
and sizes of the files; nothing else has to be kept in step. Knows no asyncio, writes nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

CUT_PREFIX = "cut."
"""`NAME.old/cut.START.SIZE.HOLE.DROPPED`: a head that is copied and now goes from `NAME.log`, which had SIZE
bytes, the first HOLE of them no longer there. DROPPED is 1 for a head that is not kept: then the file is only
a sample of it, and START is where the log begins without it."""
_CUT_WAIT_S = 0.5
_CUT_LOOK_S = 0.001
"""Between two looks whether a head is still on its way. It takes a few of these, once in many megabytes; to be told
would cost each of any number of readers a descriptor of inotify, of which a user has 128."""
_BLOCK = 65536


class Layout(Struct, frozen=True):
    """`old` are (offset of the first byte, path) in order; `base` is the offset of the first byte of the
    file `NAME.log`, `floor` the first one that is still in it (the rest may be a hole)."""

    names: tuple[str, ...]
    old: tuple[tuple[int, Path], ...]
    base: int
    floor: int
    end: int

    @property
    def start(self) -> int:
        """The oldest byte that is kept."""
        return self.old[0][0] if self.old else self.floor


class SpoolReader:
    """Reads the log at `path`, whose file need not exist yet. Holds nothing open; any number of readers."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.old_dir = old_dir(self.path)
        self._left: tuple[str, ...] = ()

    def read_from(self, offset: int, limit: int) -> tuple[bytes, int]:
        """Up to `limit` bytes at `offset` and the offset behind them. If what was there is no longer kept,
        the oldest that is: `next - len(data)` is where the data really begins. No data: nothing new."""
        while True:
            layout, descriptor = self._open()
            try:
                at = _within(layout, offset)
                data = self._pread(layout, descriptor, at, limit)
            finally:
                if descriptor is not None:
                    os.close(descriptor)
            if data is not None and self._names() == layout.names:
                return data, at + len(data)

    def end(self) -> int:
        """The offset behind the last byte."""
        return self.layout().end

    def start(self) -> int:
        """The offset of the oldest byte that is kept."""
        return self.layout().start

    def tail_offset(self, lines: int) -> int:
        """Where the last `lines` lines begin; a last line without its end counts as one."""
        layout = self.layout()
        at, left = layout.end, lines
        if lines <= 0:
            return at
        while at > layout.start:
            begin = max(layout.start, at - _BLOCK)
            block = self._exactly(begin, at)
            stop = len(block) - 1 if at == layout.end and block.endswith(b"\n") else len(block)
            while (stop := block.rfind(b"\n", 0, stop)) >= 0:
                left -= 1
                if left == 0:
                    return at - len(block) + stop + 1
            at = begin
        return layout.start

    def layout(self) -> Layout:
        """What lies where at this moment."""
        while True:
            layout, descriptor = self._open()
            if descriptor is not None:
                os.close(descriptor)
            if self._names() == layout.names:
                return layout

    def _open(self) -> tuple[Layout, int | None]:
        names = self._settled()
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
        cut = next((name for name in names if name.startswith(CUT_PREFIX)), None)
        parts = [(int(name), self.old_dir / name) for name in names if name.isdecimal()]
        dropped = None
        if cut is not None and cut_is_done(self.path, self.old_dir / cut):
            start = int(cut.split(".")[1])
            if cut.endswith(".1"):
                dropped = start
            else:
                parts = [part for part in parts if part[0] != start] + [(start, self.old_dir / cut)]
        if not parts and dropped is None:
            return Layout(names, (), 0, 0, size)
        old, floor = _unbroken(parts, dropped)
        base = floor - (hole(descriptor, size) if descriptor is not None else 0)
        return Layout(names, old, base, floor, base + size)

    def _names(self) -> tuple[str, ...]:
        try:
            return tuple(sorted(name for name in os.listdir(self.old_dir) if name != "tmp"))
        except (FileNotFoundError, NotADirectoryError):
            return ()

    def _settled(self) -> tuple[str, ...]:
        """The names, once no head is on its way; a move that does not end was left by a crash."""
        names = self._names()
        until = time.monotonic() + _CUT_WAIT_S
        while any(name.startswith(CUT_PREFIX) and name not in self._left for name in names):
            if time.monotonic() >= until:
                self._left = names
            time.sleep(_CUT_LOOK_S)  # see there why it is no event
            names = self._names()
        return names

    def _pread(self, layout: Layout, descriptor: int | None, at: int, limit: int) -> bytes | None:
        if at >= layout.floor:
            return os.pread(descriptor, limit, at - layout.base) if descriptor is not None else b""
        begin, path = max(pair for pair in layout.old if pair[0] <= at)
        try:
            with open(path, "rb", buffering=0) as file:
                return os.pread(file.fileno(), limit, at - begin)
        except FileNotFoundError:
            return None

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
    """Where the earlier parts of `NAME.log` lie."""
    return log.with_suffix(".old")


def hole(descriptor: int, size: int) -> int:
    """How many bytes at the beginning of a file are a hole."""
    try:
        return os.lseek(descriptor, 0, os.SEEK_DATA) if size else 0
    except OSError:
        return 0


def cut_is_done(log: Path, copy: Path) -> bool:
    """Whether the head that was copied to `copy` has gone from `log`. Answers for a cut that a crash
    interrupted: a smaller file, a hole, or another beginning say yes."""
    try:
        with open(log, "rb") as current, open(copy, "rb") as head:
            size = os.fstat(current.fileno()).st_size
            if size < int(copy.name.split(".")[2]):
                return True
            begin, copied = hole(current.fileno(), size), os.fstat(head.fileno()).st_size
            if begin:
                return begin > int(copy.name.split(".")[3])
            while block := head.read(_BLOCK):
                if current.read(len(block)) != block:
                    return True
            return not copied
    except FileNotFoundError:
        return True


def _unbroken(parts: list[tuple[int, Path]], floor: int | None) -> tuple[tuple[tuple[int, Path], ...], int]:
    """The parts that follow each other without a gap up to the log's own beginning, and where that is: behind
    the newest part, unless `floor` says it."""
    sizes = sorted(((start, _size(path), path) for start, path in parts), reverse=True)
    floor = sizes[0][0] + sizes[0][1] if floor is None else floor
    old: list[tuple[int, Path]] = []
    at = floor
    for start, size, path in sizes:
        if start + size != at:
            break
        if size:
            old.insert(0, (start, path))
        at = start
    return tuple(old), floor


def ends(logs: Iterable[Path]) -> dict[str, int]:
    """Service → where its output ends now. Taken before a start, it is where that start's output begins."""
    found = {}
    for path in logs:
        try:
            found[path.stem] = SpoolReader(path).end()
        except FileNotFoundError:
            found[path.stem] = 0
    return found


def _within(layout: Layout, offset: int) -> int:
    """The offset to read at. Behind the end means that somebody has emptied the log by hand."""
    if offset > layout.end:
        return layout.floor
    return max(offset, layout.start)


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
