"""The nouns of the core: what a service is, normalised, and what is known of a running one.

Everything here is a value: frozen, comparable, made of tuples, strings and numbers. No `None` means
"use the default" in a `Service`; the planner has put the defaults in.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    SERVER = "server"
    JOB = "job"


class Condition(StrEnum):
    """What a dependent waits for."""

    STARTED = "started"
    READY = "ready"
    DONE = "done"


class Phase(StrEnum):
    IDLE = "idle"
    SPAWNING = "spawning"
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    STOPPING = "stopping"
    KILLING = "killing"
    BACKOFF = "backoff"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"


ALIVE = (
    Phase.SPAWNING,
    Phase.STARTING,
    Phase.READY,
    Phase.UNREADY,
    Phase.STOPPING,
    Phase.KILLING,
    Phase.LOST,
)
"""Phases in which a process may exist."""

RUNNING = (Phase.STARTING, Phase.READY, Phase.UNREADY)
"""Phases in which a process exists and nobody asked it to leave."""


class Ref(Struct, frozen=True):
    """A value known only when ports are leased: `form` is "port", "url" or "address" (host:port); or "gpus", all GPUs
    of the service as CUDA_VISIBLE_DEVICES names them."""

    service: str
    port: str = "main"
    form: str = "port"


Text = tuple[str | Ref, ...]
"""A string with references in it; `core.render.text` joins it once the ports are known."""


class OnChange(StrEnum):
    """What a change of its definition, or of a watched file, does to a live process. RESTART: it is stopped, then a
    new one is started. REPLACE: a new one is started beside it, and takes over once it is ready. SIGNAL: it is sent
    a signal and runs on. KEEP: it runs on. What runs on does so with its old definition, and takes the new one when
    it is restarted or ends."""

    RESTART = "restart"
    REPLACE = "replace"
    SIGNAL = "signal"
    KEEP = "keep"


class Handover(StrEnum):
    """How a held port passes to the child (CONTRACT: `handover`)."""

    SHARED = "shared"
    RELEASE = "release"
    INHERIT = "inherit"


class GpuNeed(Struct, frozen=True):
    """What one GPU has to be: this `device` (a UUID; "" for any of the numbers asked for), with so many bytes of free
    `memory` when it is taken. `wait`: its service waits for it, and the stack is not refused."""

    device: str = ""
    memory: int = 0
    wait: bool = False


class PortRequest(Struct, frozen=True):
    """A wish for one port in `low..high` (inclusive) on the literal address `host`; or, with `gpu`, for one GPU
    whose number on its machine is in `low..high`."""

    service: str
    name: str
    low: int
    high: int
    host: str = "127.0.0.1"
    handover: Handover = Handover.SHARED
    auto: bool = False
    """Asked for as `auto`: any number of the range is as good as another."""
    avoid: tuple[int, ...] = ()
    """Not these: another process of the same service has them."""
    beside: bool = False
    """For a process that is to run beside the one that has the port so far."""
    gpu: GpuNeed | None = None


class Lease(Struct, frozen=True):
    """A port that is held for a service; or, where `gpu` says what CUDA calls it (a UUID, or its number as text), a
    GPU, with `memory` bytes in all (0: not known)."""

    service: str
    name: str
    number: int
    host: str
    gpu: str = ""
    memory: int = 0


class CheckKind(StrEnum):
    HTTP = "http"
    TCP = "tcp"
    EXEC = "exec"
    LOG = "log"
    FILE = "file"
    NOTIFY = "notify"

    @property
    def is_event(self) -> bool:
        """The host tells when it happens; it is not asked again and again."""
        return self in (CheckKind.LOG, CheckKind.NOTIFY)


class Check(Struct, frozen=True):
    """Readiness or liveness. `target` is a URL (http), `host:port` (tcp), a path (file) or a regular
    expression (log); `argv` belongs to exec. `status` are inclusive ranges. Times in seconds."""

    kind: CheckKind
    target: Text = ()
    argv: tuple[Text, ...] = ()
    status: tuple[tuple[int, int], ...] = ((200, 399),)
    body: str = ""
    headers: tuple[tuple[str, Text], ...] = ()
    content: Text = ()
    """Sent by POST, as JSON; nothing for a GET."""
    successes: int = 1
    failures: int = 3
    interval_s: float = 10.0
    probe_timeout_s: float = 5.0
    stall_s: float | None = 300.0
    timeout_s: float | None = None
    ours: bool = True
    """Only an answer of the service's own processes counts."""


class Need(Struct, frozen=True):
    on: str
    condition: Condition
    bound: bool = False
    """Restart me when it restarts."""


class Restart(Struct, frozen=True):
    """`policy` is never, on-failure or always. `max_restarts` counts within `window_s`."""

    policy: str = "on-failure"
    initial_s: float = 0.5
    max_s: float = 30.0
    factor: float = 2.0
    max_restarts: int = 5
    window_s: float = 600.0


class Stop(Struct, frozen=True):
    signal: int = 15
    grace_s: float = 10.0


class Sink(Struct, frozen=True):
    """Where output goes besides the run's own log: `kind` is console, file, jsonl or null.
    `rotate` in bytes, 0 for never; `keep` old files."""

    kind: str
    path: str = ""
    rotate: int = 0
    keep: int = 5


class Environment(Struct, frozen=True):
    """A Python environment that has to be there before a process is started. It is made in `folder`, which is named
    after all that shapes it, so two of one folder are the same; and `link` leads to it once it is whole.
    `requirements` are lines as an installer reads them, `files` what they name, each with a digest of its contents
    ("" if it is not there). `python` is the path of an interpreter, or a version that is to be got."""

    folder: str
    link: str
    requirements: tuple[str, ...]
    files: tuple[tuple[str, str], ...]
    python: str
    working_dir: str
    """Where the installer runs: what the lines say of paths starts there."""
    uv: str = ""
    """The program that makes it; "" for venv and pip."""


class Service(Struct, frozen=True):
    """A server or a job, ready to be started once its ports are known. `environment` holds what the
    stack declares; `inherit` says which variables of launchpad's own environment are added beneath it
    (True: all, False: the bare minimum, or a tuple of names). `digest` covers what shapes the process."""

    name: str
    kind: Kind
    command: tuple[Text, ...]
    working_dir: str
    digest: str
    environment: tuple[tuple[str, Text], ...] = ()
    inherit: bool | tuple[str, ...] = True
    host: str = "127.0.0.1"
    ports: tuple[PortRequest, ...] = ()
    gpus: tuple[PortRequest, ...] = ()
    needs: tuple[Need, ...] = ()
    ready: Check | None = None
    alive: Check | None = None
    restart: Restart = Restart()
    stop: Stop = Stop()
    output: tuple[Sink, ...] = (Sink("console"),)
    primary: bool = False
    refs: tuple[tuple[str, str], ...] = ()
    """Ports of others, (service, port), that appear in command, environment or checks."""
    secrets: tuple[str, ...] = ()
    """Names of environment variables whose values are never shown."""
    on_change: OnChange = OnChange.RESTART
    change_signal: int = 0
    """What SIGNAL sends."""
    watch: tuple[str, ...] = ()
    """Globs, absolute: a change of such a file counts as one of the definition."""
    prepare: Environment | None = None
    """What has to be made before it is started; `digest` covers it."""

    @property
    def uses(self) -> tuple[str, ...]:
        """Services whose ports appear in command, environment or checks (itself not counted)."""
        return tuple(dict.fromkeys(name for name, _ in self.refs))

    @property
    def leased(self) -> tuple[PortRequest, ...]:
        """All that has to be held for it before it can start."""
        return (*self.ports, *self.gpus)


class Plan(Struct, frozen=True):
    """All services, in an order in which nobody comes before what it needs."""

    rev: int
    services: tuple[Service, ...]


class Handle(Struct, frozen=True):
    """One process on one host, for ever: `pid`, and its start (kernel ticks since boot) and boot id."""

    pid: int
    start: int = 0
    boot: str = ""
    host: str = "local"


class Identity(Struct, frozen=True):
    """What a process was started as. If the wanted one differs, the process is replaced."""

    digest: str
    nonce: int = 0
    bound: tuple[tuple[str, int], ...] = ()
    leases: tuple[Lease, ...] = ()


class Launch(Struct, frozen=True):
    """All a host needs to start a process: nothing is left to look up or decide."""

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    inherit: bool | tuple[str, ...]
    working_dir: str
    ports: tuple[Lease, ...] = ()
    handovers: tuple[tuple[str, Handover], ...] = ()
    """Port name → how it is handed over."""
    notify: bool = False
    """Readiness comes by NOTIFY_SOCKET."""
    stop: Stop = Stop()
    """How it is to be stopped; kept, like what follows, for whoever has to do with it without a supervisor."""
    needs: tuple[str, ...] = ()
    job: bool = False
    gpus: tuple[Lease, ...] = ()


class Probing(Struct, frozen=True):
    """A `Check` with its references resolved. `ours`: the listening socket must belong to the
    service's own processes."""

    kind: CheckKind
    target: str = ""
    argv: tuple[str, ...] = ()
    status: tuple[tuple[int, int], ...] = ((200, 399),)
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    content: str = ""
    timeout_s: float = 5.0
    ours: bool = True


class Seen(Struct, frozen=True):
    """What one probe saw. `kind`: ok, refused, silent (accepted, no answer), status, body, stranger
    (somebody else answers), elsewhere (the service listens, but not here), exit (exec), missing (file), error.
    `text` is the evidence in words, equal for equal sights so that repeats can be counted; `detail` may
    differ each time. `final`: waiting longer cannot help."""

    kind: str
    text: str
    detail: str = ""
    final: bool = False


class Outcome(Struct, frozen=True):
    """Why something ended. `kind`: done, stopped (asked for), exit, signal, spawn, unready, unhealthy,
    ports, environment, lost, unknown (nobody saw it end). `code` is the exit code, or minus the signal number."""

    kind: str
    at: float
    code: int | None = None
    text: str = ""
    after_s: float = 0.0
    """How long the process lived."""
    detail: str = ""
    """Evidence that is too long for a line."""
    final: bool = False
    """Trying again cannot help, or must not."""


class Hold(Struct, frozen=True):
    """Why something is not happening yet. `kind`: need, failed-need, ports, gpus, environment, order, backoff, goal, tree;
    of something that runs: stale (with another definition than the stack now has), replace (another process of it
    lives: its replacement, or one that is on its way out), watch (its watched files changed so often that changes
    have no effect for now)."""

    kind: str
    on: str
    text: str
