"""Environments that a change of the stack needs are made before anything is changed: what runs, runs on meanwhile.

Decides which those are, and what is said of one that could not be made. Refuses to know how one is made.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from launchpad.core.model import Service
from launchpad.errors import Diagnostic, Label

NOT_MADE = "E508"


def not_made(
    service: Service, text: str, tail: str, place: Callable[..., Label | None], consequence: str
) -> Diagnostic:
    """`tail` are the installer's own last lines."""
    wanted = service.prepare
    assert wanted is not None
    label = place(service.name, "requirements") or place(service.name)
    log = os.path.relpath(f"{wanted.folder}.log", wanted.working_dir)
    return Diagnostic(
        NOT_MADE,
        f"the environment of `{service.name}` could not be made",
        labels=(label,) if label is not None else (),
        notes=(text.partition(": ")[2] or text, *((f"all of it: {log}",) if tail else ())),
        log=tuple(tail.splitlines()),
        consequence=consequence,
    )
