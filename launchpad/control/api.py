"""What the control socket speaks: the pictures that views draw and the requests that people make.

HTTP with JSON bodies over a unix socket. Versioned; fields are only ever added.

    GET  /v1/status?after=REV&timeout=S   a Snapshot; with `after`, when it is newer than REV or S is over
    POST /v1/start    {"names": [...]}    Reply; also `stop`, `restart`
    POST /v1/down     {"kill": false}     Reply at once; the supervisor ends when nothing is alive
    POST /v1/scale    {"scale": {…}, …}   Reply: so many copies of each service that is named; else like `reload`
    POST /v1/apply    {"names": [...], …} Reply: read the stack file again and apply it, or refuse
    POST /v1/reload   {"yes": false}      Reply: likewise, with the names and options that the stack has; `yes`: also
                                          what waits for a confirmation (`apply` takes it, too)
    POST /v1/diff     {"names": [...], …} Reply: what `apply` would do, and why; nothing is done
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

from launchpad.errors import Diagnostic

VERSION = 1


class HoldView(Struct, frozen=True):
    """Why something is not happening yet. `kind`: need, failed-need, ports, gpus, environment, order, backoff, goal, tree; of
    what runs: stale, replace, watch, owner."""

    kind: str
    on: str
    text: str


class ServiceView(Struct, frozen=True):
    """One service as people see it. Times in seconds since the epoch."""

    name: str
    kind: str
    state: str
    goal: str
    """up or down"""
    pid: int | None = None
    ports: dict[str, int] = field(default_factory=dict)
    url: str | None = None
    since: float = 0.0
    """When it came into this state."""
    started_at: float | None = None
    ready_at: float | None = None
    restarts: int = 0
    exit_code: int | None = None
    """Of the last process that ended; minus the number of the signal that killed it."""
    outcome: str = ""
    """How the last process ended, in words."""
    seen: str = ""
    """What the last readiness probe saw."""
    holds: tuple[HoldView, ...] = ()
    needs: tuple[str, ...] = ()
    console: bool = True
    log: str = ""
    """Path of the run's log of this service (what `logs` prints)."""
    attempt: int = 0
    primary: bool = False
    taken_over: bool = False
    """Its process was started by an earlier supervisor, which died."""
    digest: str = ""
    """Of what shapes its process; equal digests mean that a reload leaves it alone."""
    gpus: tuple[str, ...] = ()
    """As CUDA_VISIBLE_DEVICES names them, in that order."""
    gpu_numbers: tuple[int, ...] = ()
    """The same, by their numbers on the machine."""


class EffectView(Struct, frozen=True):
    """What applying the file does to one service. `verb`: start, restart, replace (once the new one is ready), stop,
    update (in place), signal, keep, stale (it runs on with its old definition), rerun, add (not started), remove (was
    not running)."""

    service: str
    verb: str
    because: tuple[str, ...] = ()


class Notice(Struct, frozen=True):
    """Something to be told once, about the stack as a whole: a save that was applied, or was not. `number` only grows."""

    number: int
    at: float
    text: str
    lines: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


class Snapshot(Struct, frozen=True):
    """A whole stack at one moment. `phase`: starting, up (every server ready, every job started or done),
    degraded (something failed, the rest is up), stopping, finished. `code` is the exit code if it is finished;
    `failed` names what failed for good."""

    rev: int
    stack: str
    file: str
    pid: int
    started_at: float
    phase: str
    code: int | None = None
    failed: tuple[str, ...] = ()
    services: tuple[ServiceView, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    """What is wrong now: failures, and warnings about services that cannot become ready."""
    stale: str = ""
    """Why the file on disk is not what runs; empty when it is."""
    notices: tuple[Notice, ...] = ()
    """The last few."""
    ends_with: int | None = None
    """The pid of the process with which the stack ends (`up --until-exit`)."""
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The copies of each service that has `replicas`."""
    scaled: dict[str, tuple[int, int]] = field(default_factory=dict)
    """How many copies somebody asked for, and how many the file says; only where these differ."""
    version: int = VERSION


class Reply(Struct, frozen=True):
    ok: bool
    changes: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    effects: tuple[EffectView, ...] = ()
    waits: str = ""
    """What it waits for, in words: nothing was done yet, and the same is to be asked again, with `again`."""
    version: int = VERSION


class Event(Struct, frozen=True):
    """One line of the journal (`events.jsonl`): what happened, to whom. `what`: phase, probe, hold,
    ports, environment, goal, plan, problem. `at` in seconds since the epoch."""

    at: float
    service: str
    what: str
    text: str
    phase: str = ""
    attempt: int = 0
    diagnostic: Diagnostic | None = None
    version: int = VERSION


T = TypeVar("T")


def to_json(value: Struct) -> dict[str, Any]:
    """The JSON object of any value of this module."""
    found: dict[str, Any] = msgspec.to_builtins(value)
    return found


def from_json(cls: type[T], data: dict[str, Any]) -> T:
    """The value again. Unknown fields (of a newer launchpad) are passed over. Raises TypeError for what is none."""
    try:
        return msgspec.convert(data, cls)
    except msgspec.ValidationError as error:
        raise TypeError(str(error)) from None
