"""Reading the journal (`events.jsonl`) from disk, whether or not a supervisor runs.

Decides which file holds what. Refuses to know what events mean, except how a service ended last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from launchpad.paths import StackPaths

EPOCH_BITS = 32
"""Attempt ids carry the supervisor's epoch above these bits."""


def earlier(paths: StackPaths) -> list[dict[str, Any]]:
    """The events that were moved out of the journal when it grew too large."""
    try:
        with open(paths.journal.with_name(paths.journal.name + ".1"), "rb") as file:
            return list(_events(file))
    except FileNotFoundError:
        return []


def last_phases(paths: StackPaths) -> dict[str, tuple[str, str]]:
    """Service → (phase, text) at the end of the last run."""
    found: dict[str, dict[str, Any]] = {}
    for event in (*earlier(paths), *Journal(paths.journal).new()):
        if event.get("what") == "phase":
            found[str(event.get("service"))] = event
    run = max((_epoch(event) for event in found.values()), default=0)
    return {
        name: (str(event.get("phase", "")), str(event.get("text", "")))
        for name, event in found.items()
        if _epoch(event) == run
    }


def last_wanted(paths: StackPaths) -> frozenset[str]:
    """Services that were wanted up at some time of the last run."""
    wanted: set[str] = set()
    fresh: set[str] = set()
    epoch = 0
    for event in (*earlier(paths), *Journal(paths.journal).new()):
        if event.get("what") == "goal" and event.get("text") == "wanted up":
            fresh.add(str(event.get("service")))
        elif event.get("what") == "phase":
            if _epoch(event) > epoch:  # what was wanted before its first attempt is part of a run
                epoch, wanted = _epoch(event), set()
            wanted |= fresh
            fresh = set()
    return frozenset(wanted)


def _epoch(event: dict[str, Any]) -> int:
    return int(event.get("attempt") or 0) >> EPOCH_BITS


def _events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # cut off by a crash
        if isinstance(event, dict):
            yield event


class Journal:
    """The events of a file from its beginning on, in pieces as they come, also when a fresh file takes
    its place. The old file is read to its end first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._part = b""

    def new(self) -> list[dict[str, Any]]:
        """The events that were added since the last call."""
        data = self._read()
        if not self._is_current():
            data += self._read()
            self._reopen()
            data += self._read()
        *lines, self._part = (self._part + data).split(b"\n")
        return list(_events(lines))

    def _read(self) -> bytes:
        return self._file.read() if self._file else b""

    def _is_current(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        if self._file is None:
            return False
        return os.fstat(self._file.fileno()).st_ino == there.st_ino

    def _reopen(self) -> None:
        if self._file:
            self._file.close()
        try:
            self._file = open(self._path, "rb", buffering=0)  # noqa: SIM115 (it is kept)
        except FileNotFoundError:
            self._file = None
