"""Where things are said: stdout carries data, stderr messages; colour only where it is wanted.

Decides whether colours and movement are allowed and how wide a line may be. Refuses to know what is said.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TextIO

from launchpad.errors import Diagnostic

PLAIN_WIDTH = 100
"""Columns for messages where there is no terminal to ask."""


def is_terminal(stream: TextIO) -> bool:
    """A terminal on which a cursor can be moved."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def wants_color(stream: TextIO) -> bool:
    """NO_COLOR wins over FORCE_COLOR, and that over whether it is a terminal; empty values count as unset."""
    if os.environ.get("NO_COLOR"):
        return False
    forced = os.environ.get("FORCE_COLOR")
    if forced:
        return forced != "0"
    return is_terminal(stream)


def columns(stream: TextIO) -> int:
    """Width in columns: of the terminal, else COLUMNS, else a readable default."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or PLAIN_WIDTH
    except (OSError, ValueError):
        return PLAIN_WIDTH


def say(message: str) -> None:
    """A message for people, on stderr."""
    print(message, file=sys.stderr, flush=True)


def complain(diagnostics: Iterable[Diagnostic]) -> None:
    """Problems, drawn on stderr."""
    from launchpad.views.diagnostics import render

    text = render(list(diagnostics), color=wants_color(sys.stderr), width=columns(sys.stderr))
    say(text.rstrip("\n"))


def print_json(value: object) -> None:
    """Data as indented JSON on stdout."""
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))
