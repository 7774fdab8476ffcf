"""What the local host has to know of a process that an earlier supervisor started, made from its record.

Decides where each of it comes from. Refuses to know whether the process is to be taken over (`survey` does).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from launchpad.core.model import Launch
from launchpad.hosts.local import process
from launchpad.hosts.local.notify import open_again
from launchpad.hosts.local.process_environment import child_environment
from launchpad.hosts.local.running import Running
from launchpad.paths import StackPaths

if TYPE_CHECKING:
    from launchpad.hosts.local.records import Record
    from launchpad.hosts.local.survey import Found


def running_of(found: Found, launch: Launch, paths: StackPaths) -> Running:
    """`launch` is how it would be started now, with the ports that it has. Its pidfd is taken over."""
    record = found.record
    assert record.handle is not None, "what has no pid is not taken over"
    running = Running(
        record.service,
        record.attempt,
        record.handle,
        launch,
        Path(os.devnull) if record.silent else paths.log(record.service),
        record.log_start,
        record.started_at or _started_at(record),
        _environment(record, launch),
        pidfd=found.pidfd,
        exited=record.ended,
        adopted=True,
        notified=record.notified,
    )
    if record.notify and not record.ended:
        try:
            running.notify = open_again(record.notify)
        except OSError:
            pass  # it can say no more; if it was ready, that is known
    return running


def age_s(record: Record, now: float) -> float | None:
    """How long it has lived, or lived; `now` in seconds since the epoch."""
    began = record.started_at or (_started_at(record) if not record.ended else 0.0)
    until = record.ended_at if record.ended and record.ended_at else now
    return max(0.0, until - began) if began else None


def _started_at(record: Record) -> float:
    """By the kernel; 0 where it has gone."""
    one = None if record.handle is None else process.stat(record.handle.pid)
    return 0.0 if one is None else process.started_at(one)


def _environment(record: Record, launch: Launch) -> dict[str, str]:
    """What it was given; where the process has wiped that, what it would be given now."""
    seen = {} if record.handle is None else process.environment(record.handle.pid)
    if seen.get(process.ATTEMPT) == str(record.attempt):
        return seen
    environment = child_environment(
        launch, os.environ, run_id=record.run_id, attempt=record.attempt, service=record.service
    )
    if record.notify:
        environment["NOTIFY_SOCKET"] = record.notify
    return environment
