"""The seam between deciding and doing.

A host is given wishes and tells facts. It decides nothing, never blocks the caller and never raises
into it: whatever goes wrong comes back as a fact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from launchpad.core.facts import Fact
from launchpad.core.model import Lease, Sink
from launchpad.core.wishes import HostWish

Tell = Callable[[Fact], None]
"""How a host reports; may be called at any time from the event loop's thread, also within `submit`."""


class Host(Protocol):
    def submit(self, wishes: Sequence[HostWish]) -> None:
        """Begin to carry out; returns at once."""

    def holds(self, leases: Sequence[Lease]) -> bool:
        """Whether all of these ports are held at this moment: an answer may be older than what was let go since."""

    def route(self, service: str, sinks: tuple[Sink, ...]) -> None:
        """Send this service's output (also what is yet to be copied) to these sinks from now on."""

    async def close(self) -> None:
        """Let go: flush sinks, free ports. Processes are left as they are."""
