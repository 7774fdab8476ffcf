"""The core: one object, one door. Facts in, wishes out; no clock, no randomness, no I/O.

A batch of facts is folded in first, then deadlines that have come are met, then the rules are asked until
nothing changes; so nothing is decided on half of what is known. Wishes come out in the order in which they must be carried out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from launchpad.core import admission, environments, ports, ticks
from launchpad.core.facts import Fact, Refusal, Remembered
from launchpad.core.fold import fold
from launchpad.core.holds import holds
from launchpad.core.model import Hold, Lease, Phase, Plan, PortRequest, Service
from launchpad.core.rules import settle
from launchpad.core.state import State, Unit
from launchpad.core.verdict import Verdict, verdict
from launchpad.core.wishes import Wish

MAX_ROUNDS = 100
Goals = Iterable[tuple[str, bool]]
"""Name → up."""


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

    def holds(self, now: float) -> dict[str, list[Hold]]:
        return holds(self.state, now)

    def stay_down(self, plan: Mapping[str, Service], retry: bool) -> list[str]:
        """See `admission`: what a plan leaves down, though its name is wanted."""
        return admission.stay_down(self.state, plan, retry)

    def needed_first(self, plan: Plan, goals: Goals) -> tuple[PortRequest, ...]:
        """See `admission`: to be leased before this plan is applied with these goals."""
        return admission.needed_first(self.state, plan, dict(goals))

    def without_what_it_frees(
        self, plan: Plan, requests: Sequence[PortRequest], refusals: Sequence[Refusal]
    ) -> tuple[PortRequest, ...] | None:
        """What to ask for instead where that was refused; None: the plan cannot be applied."""
        return admission.without_what_it_frees(self.state, plan, requests, refusals)

    def remembered(self, now: float) -> list[Remembered]:
        """What the next supervisor has to be told, should this one die."""
        return [
            Remembered(unit.name, unit.restarts, tuple(now - at for at in unit.deaths), _died_as(unit))
            for unit in self.units.values()
            if (unit.restarts or unit.deaths) and not unit.removed and unit.phase is not Phase.FAILED
        ]

    def verdict(self) -> Verdict:
        return verdict(self.state)


def _died_as(unit: Unit) -> str:
    """Deaths that count are those of its latest definition that was started."""
    return unit.service.digest if unit.identity is None else unit.identity.digest
