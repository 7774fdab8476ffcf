"""Facts: what happened, in the past tense. The only way into the core.

Every fact about a process carries the attempt it is about; a fact about an attempt that is over
changes nothing, so lost, late and doubled facts are harmless.
"""

from __future__ import annotations

from msgspec import Struct

from launchpad.core.model import Handle, Identity, Lease, Plan, Seen, Service, Stop

USUAL_STOP = Stop()


class PlanApplied(Struct, frozen=True):
    """The stack is now this. `goals` are set in the same breath (name → up)."""

    plan: Plan
    goals: tuple[tuple[str, bool], ...] = ()


class GoalsSet(Struct, frozen=True):
    """Somebody asked by name. `rerun`: jobs to run once more if they are done."""

    goals: tuple[tuple[str, bool], ...]
    rerun: tuple[str, ...] = ()


class RestartAsked(Struct, frozen=True):
    names: tuple[str, ...]


class WatchedChanged(Struct, frozen=True):
    """Files that these services watch were changed; told once for what belongs together."""

    names: tuple[str, ...]


class CloseAsked(Struct, frozen=True):
    """The stack is to end: everything down, then finished with this exit code."""

    code: int = 0


class KillAsked(Struct, frozen=True):
    """No more grace for whatever is being stopped (the second Ctrl-C)."""


class Adopted(Struct, frozen=True):
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
    lives: bool = True
    """Something of it does. Else its ports are held for it all the same, but no GPU: that may be somebody else's by now."""


class Remembered(Struct, frozen=True):
    """What an earlier supervisor counted for a service: how often it was started again, and how many seconds ago
    each of its latest deaths was, as what `digest` says ("": not known)."""

    service: str
    restarts: int
    deaths: tuple[float, ...] = ()
    digest: str = ""


class Spawned(Struct, frozen=True):
    service: str
    attempt: int
    handle: Handle


class SpawnFailed(Struct, frozen=True):
    """`stage`: chdir, exec, output, fork… `final`: trying again cannot help. `detail`: longer evidence. `lost`: its ports
    that it cannot have now."""

    service: str
    attempt: int
    stage: str
    text: str
    final: bool = False
    detail: str = ""
    lost: tuple[str, ...] = ()


class Exited(Struct, frozen=True):
    """The main process ended; `code` is the exit code, or minus the signal number, or None where nobody can say.
    `left` are the other processes of its tree that still live. `note` is what the host knows besides ("out of
    memory"). `shut_out`: it could not bind beside the hold on its ports. `lost`: its ports on which a stranger listens."""

    service: str
    attempt: int
    code: int | None
    left: int = 0
    note: str = ""
    shut_out: bool = False
    lost: tuple[str, ...] = ()


class TreeGone(Struct, frozen=True):
    """No process of this attempt lives."""

    service: str
    attempt: int


class TreeHeld(Struct, frozen=True):
    """Processes of this attempt still live; `text` names them."""

    service: str
    attempt: int
    text: str


class Probed(Struct, frozen=True):
    """Answer to `Probe`; `check` is "ready" or "alive"."""

    service: str
    attempt: int
    check: str
    seq: int
    ok: bool
    seen: Seen


class Sampled(Struct, frozen=True):
    """Signs of life so far: bytes of output, seconds of CPU of the tree, bytes of GPU memory."""

    service: str
    attempt: int
    output_bytes: int
    cpu_s: float
    gpu_bytes: int = 0


class PortsLeased(Struct, frozen=True):
    """`beside`: services among these whose ports are for a replacement, where the core did not ask itself. `waiting`:
    requests that wait for a GPU (`GpuNeed.wait`) and did not get it."""

    batch: int
    leases: tuple[Lease, ...]
    beside: tuple[str, ...] = ()
    waiting: tuple[Refusal, ...] = ()


class Refusal(Struct, frozen=True):
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
    unknown: bool = False
    """Nobody can say which GPUs there are."""
    never: bool = False
    """The machine does not have such GPUs, or not so many."""
    holders: tuple[str, ...] = ()
    """Of each GPU that it could be: the service of this stack that has it, or would have got it; "" for others."""


class PortsRefused(Struct, frozen=True):
    """None of the batch was kept."""

    batch: int
    refusals: tuple[Refusal, ...]


class GpusFreed(Struct, frozen=True):
    """Somebody else let go of a GPU that a service of this stack waits for: it may be worth asking again."""


class Preparing(Struct, frozen=True):
    """How far it is, in words for people. Told as often as there is something new."""

    request: int
    text: str


class Prepared(Struct, frozen=True):
    """The environment is there, whole."""

    request: int


class PrepareFailed(Struct, frozen=True):
    """It could not be made; nothing of it counts. `detail` are the last lines of whoever tried."""

    request: int
    text: str
    detail: str = ""


class HostLost(Struct, frozen=True):
    host: str


class HostBack(Struct, frozen=True):
    """The host answers again; what it still runs follows as `Adopted`, and what does not is gone. What else there was to
    tell meanwhile is lost."""

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
