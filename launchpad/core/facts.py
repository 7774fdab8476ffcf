"""Facts: what happened, in the past tense. The only way into the core.

Every fact about a process carries the attempt it is about; a fact about an attempt that is over
changes nothing, so lost, late and doubled facts are harmless.
"""

from __future__ import annotations

from dataclasses import dataclass

from launchpad.core.model import Handle, Identity, Lease, Plan, Seen, Service, Stop

USUAL_STOP = Stop()


@dataclass(frozen=True, slots=True)
class PlanApplied:
    """The stack is now this. `goals` are set in the same breath (name → up)."""

    plan: Plan
    goals: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class GoalsSet:
    """Somebody asked by name. `rerun`: jobs to run once more if they are done."""

    goals: tuple[tuple[str, bool], ...]
    rerun: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RestartAsked:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WatchedChanged:
    """Files that these services watch were changed; told once for what belongs together."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CloseAsked:
    """The stack is to end: everything down, then finished with this exit code."""

    code: int = 0


@dataclass(frozen=True, slots=True)
class KillAsked:
    """No more grace for whatever is being stopped (the second Ctrl-C)."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A survey found a process of an earlier supervisor alive; followed by `Exited` in the same batch, it found
    how it ended. Of two of one service the newer is told first; the other is ended. `age_s` is how long it has
    lived (None: not known), `stop` how it is to be stopped if the stack does not say so any more, `was` the service
    that it was started as, as far as that is known."""

    service: str
    attempt: int
    identity: Identity
    handle: Handle
    age_s: float | None = None
    stop: Stop = USUAL_STOP
    was: Service | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an earlier supervisor counted for a service: how often it was started again, and how many seconds ago
    each of its latest deaths was."""

    service: str
    restarts: int
    deaths: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Spawned:
    service: str
    attempt: int
    handle: Handle


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """`stage`: chdir, exec, output, fork… `final`: trying again cannot help. `detail`: longer evidence."""

    service: str
    attempt: int
    stage: str
    text: str
    final: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Exited:
    """The main process ended; `code` is the exit code, or minus the signal number, or None where nobody can say.
    `left` are the other processes of its tree that still live. `note` is what the host knows besides ("out of
    memory")."""

    service: str
    attempt: int
    code: int | None
    left: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class TreeGone:
    """No process of this attempt lives."""

    service: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TreeHeld:
    """Processes of this attempt still live; `text` names them."""

    service: str
    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class Probed:
    """Answer to `Probe`; `check` is "ready" or "alive"."""

    service: str
    attempt: int
    check: str
    seq: int
    ok: bool
    seen: Seen


@dataclass(frozen=True, slots=True)
class Sampled:
    """Signs of life so far: bytes of output, seconds of CPU of the tree, bytes of GPU memory."""

    service: str
    attempt: int
    output_bytes: int
    cpu_s: float
    gpu_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PortsLeased:
    """`beside`: services among these whose ports are for a replacement, where the core did not ask itself. `waiting`:
    requests that wait for a GPU (`GpuNeed.wait`) and did not get it."""

    batch: int
    leases: tuple[Lease, ...]
    beside: tuple[str, ...] = ()
    waiting: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request got no port: `notes` say for each number who has it."""

    service: str
    name: str
    low: int
    high: int
    notes: tuple[str, ...]
    beside: bool = False
    """It was asked for as the port of a replacement."""
    gpus: int = 0
    """It is about a GPU: so many the service asks for."""
    what: str = ""
    """Which those are, in words: `a GPU`, `GPUs 0 and 3`."""
    written: str = ""
    """The same as a stack says it at length, `ids: [0, 3]`; "" where that says no more than their number."""
    own: bool = False
    """What has them is of this very stack."""
    unknown: bool = False
    """Nobody can say which GPUs there are."""
    never: bool = False
    """The machine does not have such GPUs, or not so many."""


@dataclass(frozen=True, slots=True)
class PortsRefused:
    """None of the batch was kept."""

    batch: int
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class GpusFreed:
    """Somebody let go of a GPU that a service of this stack waits for: it may be worth asking again."""


@dataclass(frozen=True, slots=True)
class Preparing:
    """How far it is, in words for people. Told as often as there is something new."""

    request: int
    text: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """The environment is there, whole."""

    request: int


@dataclass(frozen=True, slots=True)
class PrepareFailed:
    """It could not be made; nothing of it counts. `detail` are the last lines of whoever tried."""

    request: int
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HostLost:
    host: str


@dataclass(frozen=True, slots=True)
class HostBack:
    """The host answers again; what it still runs follows as `Adopted`, and what does not is gone."""

    host: str


Fact = (
    PlanApplied
    | GoalsSet
    | RestartAsked
    | WatchedChanged
    | CloseAsked
    | KillAsked
    | Adopted
    | Remembered
    | Spawned
    | SpawnFailed
    | Exited
    | TreeGone
    | TreeHeld
    | Probed
    | Sampled
    | PortsLeased
    | PortsRefused
    | GpusFreed
    | Preparing
    | Prepared
    | PrepareFailed
    | HostLost
    | HostBack
)
