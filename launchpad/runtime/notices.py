"""What is told of a stack as a whole: what became of its file, and what happened once.

Decides the words that go with it, and how much is kept. Refuses to know why something was applied or not: `reload` does.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

from launchpad.control.api import Event, Notice
from launchpad.errors import Diagnostic

KEPT = 20
"""How many of the last ones a picture holds."""


class Notices:
    """`write` keeps events in the journal, `ring` says that there is a newer picture."""

    def __init__(self, write: Callable[[Sequence[Event]], None], ring: Callable[[], None]) -> None:
        self._write, self._ring = write, ring
        self.stale = ""
        """Why the file on disk is not what runs; "" when it is."""
        self.unapplied: tuple[Diagnostic, ...] = ()
        self.last: tuple[Notice, ...] = ()
        self._numbers = itertools.count(1)

    def applied(self, text: str, lines: tuple[str, ...]) -> None:
        """The file on disk is what runs, and that is news."""
        self.stale, self.unapplied = "", ()
        self.announce(text, lines)

    def fresh(self, text: str = "") -> None:
        """The file on disk is what runs; told with a `text` only."""
        was, self.stale, self.unapplied = self.stale, "", ()
        if text:
            self.announce(text)
        elif was:
            self._ring()

    def keep_as_it_is(self, text: str, problems: tuple[Diagnostic, ...]) -> None:
        """The file on disk is not what runs, for these reasons."""
        self.stale, self.unapplied = f"{text}; the stack runs as before", problems
        self.announce(text, diagnostics=problems)

    def waits(self, text: str, how_far: str) -> None:
        """The file on disk is not what runs yet; told once, and how far it is as often as it is news."""
        first = not self.stale.startswith(text)
        self.stale, self.unapplied = f"{text}: {how_far}; the stack runs as before", ()
        self.announce(f"{text}: {how_far}") if first else self._ring()

    def announce(
        self, text: str, lines: tuple[str, ...] = (), diagnostics: tuple[Diagnostic, ...] = ()
    ) -> None:
        """Told once to whoever looks, and kept in the journal."""
        now = time.time()
        notice = Notice(next(self._numbers), now, text, lines, diagnostics)
        self.last = (*self.last, notice)[-KEPT:]
        whole = f"{text}: {'; '.join(lines)}" if lines else text
        found = [Event(now, "", "problem", f"{d.code}: {d.message}", diagnostic=d) for d in diagnostics]
        self._write([Event(now, "", "plan", whole), *found])
        self._ring()
