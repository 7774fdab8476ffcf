"""Errors as values: what is wrong, where, the evidence, what did not happen, and one hint.

Decides how a problem is described, never how it is drawn (`views.diagnostics` does that) and never
what the program does about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from msgspec import Struct


class ExitCode(IntEnum):
    """What the process returns; `launchpad run` returns the job's own code instead of 1."""

    OK = 0
    FAILED = 1
    """A service or a job failed."""
    REFUSED = 2
    """The input is wrong and nothing was changed."""
    BROKEN = 3
    """launchpad itself failed."""
    INTERRUPTED = 130


MASK = "********"
"""Stands for what must not be shown."""


class Span(Struct, frozen=True):
    """A stretch of one file; lines and columns count from 1, `end_column` is the column after the last."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Label(Struct, frozen=True):
    """A place with a word about it. The first label of a diagnostic is where its arrow points."""

    span: Span
    text: str = ""


class Diagnostic(Struct, frozen=True):
    """One problem, in the user's nouns. `notes` are evidence, `log` the last lines a service printed,
    `consequence` is what did not happen, `hint` can be pasted."""

    code: str
    message: str
    severity: str = "error"
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    consequence: str = ""
    hint: str = ""

    @property
    def is_error(self) -> bool:
        return self.severity == "error"


MOST = 10


def listed(texts: Iterable[str]) -> str:
    """a, b, c and 7 more: nobody reads a line of three hundred."""
    known = list(texts)
    rest = len(known) - MOST
    if rest > 1:  # one more is as short as what it stands for
        return f"{', '.join(known[:MOST])} and {rest} more"
    return ", ".join(known)


def named(names: Iterable[str]) -> str:
    return listed(f"`{name}`" for name in names)


class Refused(Exception):
    """The input cannot be used; nothing was changed. Carries every problem that was found."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in self.diagnostics))
