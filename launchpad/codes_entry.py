"""What is said about one error code; what the codes are is in `codes`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    title: str
    meaning: str
    causes: tuple[str, ...]
    remedies: tuple[str, ...]
