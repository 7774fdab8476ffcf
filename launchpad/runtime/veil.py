"""What a host tells, without the stack's secrets: command lines and answers are quoted in diagnostics, `ps` and the
journal, and may carry values that nobody is to see there.

Decides where such values can stand in a fact. Which values they are, the stack file decides.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from launchpad.core.facts import (
    Exited,
    Fact,
    PortsRefused,
    PrepareFailed,
    Preparing,
    Probed,
    SpawnFailed,
    TreeHeld,
)
from launchpad.errors import MASK


class Veil:
    """Remembers every secret it was told of: a process keeps those that it was started with."""

    def __init__(self) -> None:
        self._secrets: tuple[str, ...] = ()

    def add(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(sorted({*self._secrets, *secrets}, key=lambda s: (-len(s), s)))

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def fact(self, fact: Fact) -> Fact:
        """The same fact, its words without secrets."""
        if not self._secrets:
            return fact
        match fact:
            case SpawnFailed() | TreeHeld():
                return replace(fact, text=self.text(fact.text))
            case Preparing():
                return replace(fact, text=self.text(fact.text))
            case PrepareFailed():
                return replace(fact, text=self.text(fact.text), detail=self.text(fact.detail))
            case Exited():
                return replace(fact, note=self.text(fact.note))
            case Probed():
                seen = replace(fact.seen, text=self.text(fact.seen.text), detail=self.text(fact.seen.detail))
                return replace(fact, seen=seen)
            case PortsRefused():
                return replace(
                    fact,
                    refusals=tuple(
                        replace(one, notes=tuple(self.text(note) for note in one.notes))
                        for one in fact.refusals
                    ),
                )
        return fact
