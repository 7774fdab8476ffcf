"""The core: one object, one door. Facts in, wishes out; no clock, no randomness, no I/O.

A batch of facts is folded in first, then deadlines that have come are met, then the rules are asked until
nothing changes; so nothing is decided on half of what is known. Wishes come out in the order in which they must be carried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from launchpad.core import environments, ports, ticks
from launchpad.core.facts import Fact
from launchpad.core.fold import fold
from launchpad.core.holds import all_holds
from launchpad.core.model import Hold, Lease
from launchpad.core.rules import settle
from launchpad.core.state import State, Unit
from launchpad.core.verdict import Verdict, verdict
from launchpad.core.wishes import Wish

MAX_ROUNDS = 100


class Engine:
    """`epoch` must be larger than that of any earlier supervisor of the same stack; `known_ports` are
    leases had before, which are asked for again."""

    def __init__(self, epoch: int = 1, known_ports: Iterable[Lease] = ()) -> None:
        self.state = State(epoch=epoch)
        self.state.known_ports = {(lease.service, lease.name): lease for lease in known_ports}

    def step(self, now: float, facts: Sequence[Fact] = ()) -> list[Wish]:
        """`now` in seconds, never less than before. Returns what shall be done, in order."""
        state = self.state
        for fact in facts:
            fold(state, fact, now)
        ports.give_up_waiting(state, now)
        environments.ask_again(state, now)
        for rounds in range(MAX_ROUNDS):
            state.arm()
            due = state.due(now)
            if not due and rounds:
                break
            for unit in due:
                ticks.tick(state, unit, now)
            settle(state, now)
        else:
            raise AssertionError("deadlines do not move on")
        wishes, state.wishes = state.wishes, []
        return ports.retract(state, wishes)

    def next_deadline(self) -> float | None:
        """When `step` wants to be called again at the latest; None: only when there are facts."""
        return self.state.next_deadline()

    @property
    def units(self) -> dict[str, Unit]:
        return self.state.units

    def holds(self, name: str, now: float) -> list[Hold]:
        return all_holds(self.state, self.state.units[name], now)

    def verdict(self) -> Verdict:
        return verdict(self.state)
