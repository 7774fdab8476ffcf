"""A cgroup for what a supervisor starts: the one membership that a process cannot leave by forking, a session of its
own, or wiping its environment.

The supervisor enters it before it starts anything, so all below it is born there; there is no cost for each start and
no race. Needs a cgroup v2 hierarchy in which this user may make a group below the one that launchpad runs in: root,
or a subtree that systemd has delegated (`systemd-run --user --scope launchpad up`). Elsewhere nothing happens, and
processes are found as described in `orphans`. Decides nothing about who is ended.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from threading import Thread

PREFIX = "launchpad-"


class Group:
    """The group of a run, which this process enters at once where it can. The kernel waits ten milliseconds for the first
    process that changes its group after a while; so only that is done in a thread."""

    def __init__(self, run_id: str) -> None:
        self._path: Path | None = None
        self._entering: Thread | None = None
        above = _own()
        if above is None:
            return
        group = above / f"{PREFIX}{run_id}"
        try:
            group.mkdir(exist_ok=True)
            procs = os.open(group / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            _remove(group)
            return
        self._entering = Thread(target=self._enter, args=(group, procs), name="cgroup", daemon=True)
        self._entering.start()

    def _enter(self, group: Path, procs: int) -> None:
        try:
            os.write(procs, str(os.getpid()).encode())
            self._path = group
        except OSError:
            _remove(group)
        finally:
            os.close(procs)

    def entered(self) -> None:
        """Wait until this process is in the group, or is known to stay where it is: to be asked before it starts others."""
        if self._entering is not None:
            self._entering.join()

    def leave(self) -> None:
        """Back to where this process was; the group goes, if nothing else is in it."""
        self.entered()
        if self._path is not None:
            with contextlib.suppress(OSError):
                (self._path.parent / "cgroup.procs").write_text(str(os.getpid()))
                self._path.rmdir()


def _remove(group: Path) -> None:
    with contextlib.suppress(OSError):
        group.rmdir()


def is_there(run_id: str) -> bool:
    """Whether that run has a group; one that could be left empty is gone."""
    above = _own()
    return above is not None and (above / f"{PREFIX}{run_id}").is_dir()


def remove(run_ids: Iterable[str]) -> None:
    """The empty groups that a supervisor which was killed has left here."""
    above = _own()
    for run_id in run_ids if above is not None else ():
        with contextlib.suppress(OSError):
            os.rmdir(f"{above}/{PREFIX}{run_id}")


def runs_of(pid: int) -> set[str]:
    """The runs in whose groups a process is; several where a stack was started by a service of another one."""
    parts = _path(f"/proc/{pid}/cgroup").split("/")
    return {part.removeprefix(PREFIX) for part in parts if part.startswith(PREFIX)}


def _own() -> Path | None:
    mount, path = _mount(), _path("/proc/self/cgroup")
    return mount / path.lstrip("/") if mount is not None and path else None


def _path(file: str) -> str:
    """Of the v2 hierarchy; "" if there is none."""
    with contextlib.suppress(OSError), open(file, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            if line.startswith("0::"):
                return line[3:].rstrip("\n")
    return ""


def _mount() -> Path | None:
    with contextlib.suppress(OSError), open("/proc/self/mounts", encoding="utf-8") as lines:
        for line in lines:
            fields = line.split()
            if fields[2] == "cgroup2" and os.access(fields[1], os.W_OK):
                return Path(fields[1])
    return None
