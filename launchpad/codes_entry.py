"""What there is to say about one error code.

Decides the form only; the texts are in `codes`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    title: str
    meaning: str
    causes: tuple[str, ...]
    remedies: tuple[str, ...]
