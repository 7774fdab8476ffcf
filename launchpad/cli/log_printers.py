"""The three ways in which `logs` prints: bytes as they are, lines with names, JSON lines.

Decides the form only. Nothing is ever skipped here: whoever reads slowly makes only us wait.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from launchpad.views.lines import Follower, Spool, open_spool

CHUNK = 1 << 20


class Printer(Protocol):
    def add(self, name: str, path: Path, lines: int | None) -> None:
        """From the last `lines` lines on (None: all). A service that is there already stays as it is."""

    def pump(self) -> bool:
        """Print what has come; true if there may be more."""

    def due(self) -> float | None:
        """Seconds until `pump` wants to be called even if nothing comes."""

    def finish(self, *, last: bool) -> None:
        """Print what was there, service by service; `last`: all there is, also lines that never ended."""


def make_printer(*, raw: bool, as_json: bool, color: bool) -> Printer:
    if as_json:
        return JsonPrinter()
    return RawPrinter() if raw else LinePrinter(color)


class LinePrinter:
    """Prefixed lines."""

    def __init__(self, color: bool) -> None:
        self._follower = Follower(_write, color=color, may_skip=False)

    def add(self, name: str, path: Path, lines: int | None) -> None:
        self._follower.add(name, path, _begin(open_spool(path), lines))

    def pump(self) -> bool:
        more = self._follower.pump()
        self._follower.pump_unfinished()
        return more

    def due(self) -> float | None:
        return self._follower.due()

    def finish(self, *, last: bool) -> None:
        self._follower.finish(unfinished=last)


class _Source(Struct):
    name: str
    spool: Spool
    offset: int
    there: int
    """Where it ended when it was added; what comes after is new."""
    part: bytes = b""


class RawPrinter:
    """Bytes as the service wrote them."""

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}

    def add(self, name: str, path: Path, lines: int | None) -> None:
        if name not in self._sources:
            spool = open_spool(path)
            self._sources[name] = _Source(name, spool, _begin(spool, lines), spool.end())

    def pump(self) -> bool:
        more = False
        for source in self._sources.values():
            data, source.offset = source.spool.read_from(source.offset, CHUNK)
            if data:
                self._put(source, data)
                more = True
        return more

    def due(self) -> float | None:
        return None

    def finish(self, *, last: bool) -> None:
        for source in self._sources.values():
            while last or source.offset < source.there:
                limit = CHUNK if last else min(CHUNK, source.there - source.offset)
                data, source.offset = source.spool.read_from(source.offset, limit)
                if not data:
                    break
                self._put(source, data)

    def _put(self, source: _Source, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


class JsonPrinter(RawPrinter):
    """One JSON object a line. `time` (seconds since the epoch) is when it was seen, so only lines that
    come while following have one."""

    def __init__(self) -> None:
        super().__init__()
        self._following = False

    def pump(self) -> bool:
        self._following = True
        return super().pump()

    def finish(self, *, last: bool) -> None:
        super().finish(last=last)
        for source in self._sources.values():
            if source.part and last:
                self._print(source, [source.part])
                source.part = b""

    def _put(self, source: _Source, data: bytes) -> None:
        *lines, source.part = (source.part + data).split(b"\n")
        self._print(source, lines)

    def _print(self, source: _Source, lines: list[bytes]) -> None:
        stamp = {"time": round(time.time(), 3)} if self._following else {}
        text = "".join(
            json.dumps(
                {"version": 1, **stamp, "service": source.name, "line": line.decode("utf-8", "replace")},
                ensure_ascii=False,
            )
            + "\n"
            for line in (line.removesuffix(b"\r") for line in lines)
        )
        _write(text)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _begin(spool: Spool, lines: int | None) -> int:
    return 0 if lines is None else spool.tail_offset(lines)
