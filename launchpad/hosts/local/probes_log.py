"""Readiness by a line of output: finds the first line of one attempt that a pattern matches.

Reads the log from where the attempt's output began, once, as it grows. A line ends at `\\n` or `\\r` (progress
bars); one that has no end yet counts as it stands once nothing more has come for a moment. Only the first
64 KiB of a line are looked at. Colour codes do not get in the way of a match.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from launchpad.hosts.local.inotify import Watcher
from launchpad.hosts.local.running import Running
from launchpad.hosts.local.spool_reader import SpoolReader

_BLOCK = 256 << 10
LONGEST_LINE = 64 << 10
_STANDS_S = 0.2
_SHOWN_CHARS = 120
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class LineSearch:
    """Feeds on bytes, in pieces of any size; `found` is the first line that matched."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)
        self._rest = b""
        self._overlong = False
        self.found: str | None = None

    @property
    def has_rest(self) -> bool:
        return bool(self._rest)

    def feed(self, data: bytes) -> bool:
        """Whether it has been found."""
        lines = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop()
        if self._overlong and lines:
            lines.pop(0)
            self._overlong = False
        elif self._overlong:
            self._rest = b""
        if lines:
            text = b"\n".join(line[:LONGEST_LINE] for line in lines).decode("utf-8", "replace")
            self._search(text.split("\n"))
        if len(self._rest) > LONGEST_LINE and self.found is None:
            self.stands()
            self._rest, self._overlong = b"", True
        return self.found is not None

    def stands(self) -> bool:
        """Take what has no end yet for a line."""
        if self.found is None:
            self._search([self._rest[:LONGEST_LINE].decode("utf-8", "replace")])
        return self.found is not None

    def _search(self, lines: list[str]) -> None:
        search = self._pattern.search
        for line in lines:
            if search(line) or ("\x1b" in line and search(_COLOUR.sub("", line))):
                self.found = line
                return


class LogWatch:
    """Searches one attempt's output until the pattern is found, then calls `tell` once. Raises re.error."""

    def __init__(self, running: Running, pattern: str, watcher: Watcher, tell: Callable[[], None]) -> None:
        self.pattern = pattern
        self._search = LineSearch(pattern)
        self._reader = SpoolReader(running.log)
        self._at = running.log_start
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Handle | None = None
        self._unwatch = watcher.watch(running.log, lambda name: self._more())
        self._read()

    @property
    def line(self) -> str | None:
        """The line that was found, on one line, shortened."""
        if self._search.found is None:
            return None
        text = _COLOUR.sub("", self._search.found).strip()
        text = "".join(c if c.isprintable() else " " for c in text)
        return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"

    def close(self) -> None:
        self._unwatch()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _more(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._read()

    def _read(self) -> None:
        """One block; the rest after the loop has had its turn."""
        self._next = None
        if self._search.found is not None:
            return
        try:
            data, self._at = self._reader.read_from(self._at, _BLOCK)
        except OSError:
            data = b""
        if data and self._search.feed(data):
            self._done()
        elif len(data) == _BLOCK:
            self._next = self._loop.call_soon(self._read)
        elif self._search.has_rest:
            self._next = self._loop.call_later(_STANDS_S, self._stand)

    def _stand(self) -> None:
        self._next = None
        if self._search.stands():
            self._done()

    def _done(self) -> None:
        self.close()
        self._tell()
