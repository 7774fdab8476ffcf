"""What simulated processes are going to do, and what goes wrong between them and the core.

Values and small records only; `hosts.sim` makes them happen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct, field

from launchpad.core.facts import Exited, Fact
from launchpad.core.model import Handle, Handover, Identity, Launch, Lease
from launchpad.core.wishes import HostWish, Probe


class Behaviour(Struct, frozen=True):
    """What one process is going to do. Times in seconds, since its spawn unless said otherwise."""

    spawn_s: float = 0.01
    """From the wish to the process."""
    spawn_fails: str = ""
    """The stage at which it fails."""
    fails_finally: bool = False
    ready_s: float | None = 0.05
    """None: never by itself."""
    exit_s: float | None = None
    code: int = 0
    """Of an exit by itself."""
    ignores_term: bool = False
    leaves_s: float = 0.05
    """From the signal to the exit."""
    leaves_with: int = -15
    children: int = 0
    """Processes of its tree that outlive it."""
    children_ignore_term: bool = False
    sweeps: int = 1
    """How many SIGKILLs to the tree it takes until nothing is left."""
    outages: tuple[tuple[float, float], ...] = ()
    """Between these moments it is not ready."""
    sick_s: float | None = None
    """From then on it does not pass its liveness check."""
    silent: bool = False
    """Takes connections, never answers."""
    hopeless: bool = False
    """What a probe sees cannot get better (`Seen.final`)."""
    busy_until_s: float = 0.0
    """Until then there are signs of life."""
    shares: bool = True
    """It can bind beside a hold."""
    robbed: bool = False
    """When it ends, strangers listen on its ports."""


class Faults(Protocol):
    """What goes wrong between core and host."""

    def wish(self, wish: HostWish) -> bool:
        """Is it carried out? Never asked about ports, which are local to the core's process."""

    def answer(self, fact: Fact) -> tuple[float, ...]:
        """When it is told: seconds from now, one for each time that it is told."""


class NoFaults:
    def wish(self, wish: HostWish) -> bool:
        return True

    def answer(self, fact: Fact) -> tuple[float, ...]:
        return (0.0,)


SHUT_OUT_S = 0.02
"""So long it takes until a program sees that it does not get its port."""


class Process(Struct):
    """One attempt, as it really is."""

    service: str
    attempt: int
    identity: Identity
    behaviour: Behaviour
    launch: Launch
    born_at: float = 0.0
    handle: Handle | None = None
    pending: bool = True
    """The start is under way."""
    main: bool = False
    children: int = 0
    code: int | None = None
    sweeps: int = 0
    up: bool | None = None
    """Set by hand: ready or not, whatever the behaviour says."""
    well: bool | None = None
    busy: bool | None = None
    signals: list[int] = field(default_factory=list)
    """Those that it got and that do not end it."""
    told: bool = False
    """The core has been told that the main process ended, or all of its tree."""
    passed: int = 0
    """Good answers to readiness probes that were made (not: told)."""
    waiting: dict[int, Probe] = field(default_factory=dict)
    """Probes for an event that has not happened yet."""

    @property
    def shut_out(self) -> bool:
        """A hold keeps it from its ports."""
        return not self.behaviour.shares and any(how is Handover.SHARED for _, how in self.launch.handovers)

    @property
    def exit_s(self) -> float | None:
        return SHUT_OUT_S if self.shut_out else self.behaviour.exit_s

    @property
    def exit_code(self) -> int:
        return 1 if self.shut_out else self.behaviour.code

    @property
    def robbed_of(self) -> tuple[Lease, ...]:
        return self.launch.ports if self.behaviour.robbed and not self.lives else ()

    def exited(self) -> Exited:
        lost = tuple(lease.name for lease in self.robbed_of)
        return Exited(self.service, self.attempt, self.code, self.children, shut_out=self.shut_out, lost=lost)

    @property
    def lives(self) -> bool:
        return self.main or self.children > 0

    def is_ready(self, now: float) -> bool:
        if not self.main or self.shut_out:
            return False
        if self.up is not None:
            return self.up
        age, ready_s = now - self.born_at, self.behaviour.ready_s
        if ready_s is None or age < ready_s - 1e-9:
            return False
        return not any(start <= age < end for start, end in self.behaviour.outages)

    def is_well(self, now: float) -> bool:
        if not self.main:
            return False
        if self.well is not None:
            return self.well
        sick_s = self.behaviour.sick_s
        return sick_s is None or now - self.born_at < sick_s

    def cpu_s(self, now: float) -> float:
        age = now - self.born_at
        return age if self.busy else min(age, self.behaviour.busy_until_s)


Behave = Callable[[str, int], Behaviour]
"""Service and how often it was spawned before → what this process is going to do."""


def steady(service: str, nth: int) -> Behaviour:
    return Behaviour()
