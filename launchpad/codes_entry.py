"""What there is to say about one error code.

Decides the form only; the texts are in `codes`.
"""

from __future__ import annotations

from msgspec import Struct


class Entry(Struct, frozen=True):
    title: str
    meaning: str
    causes: tuple[str, ...]
    remedies: tuple[str, ...]
