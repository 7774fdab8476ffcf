"""What a checker raises."""

from __future__ import annotations


class Broken(AssertionError):
    """A promise of the core was broken."""
