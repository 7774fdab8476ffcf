"""Wishes: what shall be done, in the imperative. The only way out of the core.

Each wish to a host has an answer, or the unit that made it has a deadline.
"""

from __future__ import annotations

from msgspec import Struct

from launchpad.core.model import Environment, Handle, Identity, Launch, Lease, PortRequest, Probing


class Spawn(Struct, frozen=True):
    """Answer: Spawned, or SpawnFailed. Later, unasked: Exited."""

    service: str
    attempt: int
    identity: Identity
    launch: Launch


class Signal(Struct, frozen=True):
    """`scope` is "main" (the process that was spawned) or "tree" (it and everything it started, in
    whatever session). A tree that is sent SIGKILL is swept until nothing is left. Answers: Exited as it
    happens; TreeGone or TreeHeld after a signal to a tree."""

    service: str
    attempt: int
    handle: Handle | None
    signal: int
    scope: str = "main"


class Probe(Struct, frozen=True):
    """Answer: Probed with the same `check` and `seq`. For a log line or a notification the answer comes
    when it happens; asking again is harmless. `look`: also say where the service listens instead."""

    service: str
    attempt: int
    check: str
    seq: int
    probing: Probing
    look: bool = False


class Sample(Struct, frozen=True):
    """Answer: Sampled."""

    service: str
    attempt: int


class LeasePorts(Struct, frozen=True):
    """Ports and GPUs: all or none, but for those that may wait. `preferred` are had before. Answer: PortsLeased or
    PortsRefused, in the order of the requests. Where some wait: GpusFreed, once others have let go of one."""

    batch: int
    requests: tuple[PortRequest, ...]
    preferred: tuple[Lease, ...] = ()


class ReleasePorts(Struct, frozen=True):
    leases: tuple[Lease, ...]


class AbandonPorts(Struct, frozen=True):
    """Nobody waits for the answer to this request any more: what it got, or gets, and was not held before is let go."""

    batch: int


class Prepare(Struct, frozen=True):
    """Make this environment, unless it is there. Answer: Prepared or PrepareFailed, after any number of Preparing.
    Asked again with the same number where no answer has come for long; that is harmless."""

    request: int
    environment: Environment


class Abandon(Struct, frozen=True):
    """Nobody waits for the answer to this request any more."""

    request: int


class Forget(Struct, frozen=True):
    """The service is no longer part of the stack and nothing of it lives."""

    service: str


class Note(Struct, frozen=True):
    """Keep for people: something happened to `service`. `what`: phase, probe, hold, ports, goal, plan, signal, files, environment;
    of a second process of it: replacement, leaving. `text` is short and complete; `phase` is
    the phase after it, of the process of that attempt."""

    at: float
    service: str
    what: str
    text: str
    phase: str = ""
    attempt: int = 0


HostWish = (
    Spawn | Signal | Probe | Sample | LeasePorts | ReleasePorts | AbandonPorts | Prepare | Abandon | Forget
)
Wish = HostWish | Note
