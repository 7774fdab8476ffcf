"""What the local host knows of one process that it started (or adopted)."""

from __future__ import annotations

import socket
from pathlib import Path

from msgspec import Struct

from launchpad.core.model import Handle, Launch
from launchpad.hosts.local.tree_end import TreeEnd


class Running(Struct):
    """One attempt of one service. `log_start` is the offset in its log where this attempt's output
    begins; `started_at` in seconds since the epoch; `environment` is the complete one it was given."""

    service: str
    attempt: int
    handle: Handle
    launch: Launch
    log: Path
    log_start: int
    started_at: float
    environment: dict[str, str]
    pidfd: int | None = None
    exited: bool = False
    """The main process has ended and was reaped; others of its tree may live."""
    adopted: bool = False
    """Another launchpad started it, so it is not our child."""
    notified: bool = False
    """It said by NOTIFY_SOCKET that it is ready."""
    notify: socket.socket | None = None
    """The unix datagram socket behind NOTIFY_SOCKET, when the launch asks for one."""


class Here(Struct):
    """An attempt with processes on this machine. `end` waits for its tree, `killed` by our own SIGKILL, `leaving`:
    it was asked to end; `pids` are those that live, or have ended and still have GPU memory."""

    running: Running
    pids: set[int]
    end: TreeEnd | None = None
    killed: bool = False
    leaving: bool = False
    done: bool = False
    """It was a job, and has done its work."""
    cpu_s: float = 0.0
