"""Rings when something happens in a set of folders: the kernel's file events, or a slow look around without them.

Decides how one is woken, and falls back to looking where file events cannot be had. Refuses to know what happened:
whoever is woken looks for himself, so an event too many or one that tells half does no harm.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable

from launchpad.runtime.ears import Ear, KernelEar, WatchfilesEar

POLL_S = 0.25
"""Between two looks where the kernel does not tell."""

REMOTE_POLL_S = 1.0
"""Likewise where others may write to the files from another machine: the kernel here knows nothing of that."""
REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "vboxsf", "lustre", "ceph", "gpfs", "beegfs", "afs")

Matters = Callable[[str], bool]


def wanted_ear() -> Ear | None:
    """None: nothing is to be listened to, and everything looked at."""
    asked = os.environ.get("LAUNCHPAD_WATCH", "").lower()
    forced = os.environ.get("WATCHFILES_FORCE_POLLING", "").lower()
    if asked == "poll" or forced not in ("", "false", "disable", "disabled", "0"):
        return None
    return WatchfilesEar() if asked == "watchfiles" or sys.platform != "linux" else KernelEar()


class Bell:
    """`matters` says of the path of an event whether to ring. `on_blind` is called once, with the reason, when
    file events cannot be had and folders are looked at every POLL_S instead."""

    def __init__(self, matters: Matters, on_blind: Callable[[str], None]) -> None:
        self._matters = matters
        self._on_blind = on_blind
        self._rung = asyncio.Event()
        self._armed: dict[str, tuple[int, int]] = {}
        self._ear: Ear | None = None
        self._remote = False
        self.blind = False

    async def arm(self, folders: Iterable[str]) -> bool:
        """Listen there from now on. True if that is news: what happened before is not told, so look again."""
        there = {folder: ident for folder in folders if (ident := _ident(folder)) is not None}
        if self.blind or there == self._armed:
            return False
        await self._stop()
        self._ear = wanted_ear()
        if self._ear is None:
            self._go_blind("asked for by the environment")
            return False
        try:
            await self._ear.listen(list(there), self._happened, self._deaf)
        except Exception as error:
            self._go_blind(str(error))
            return False
        self._armed = there
        self._remote = await asyncio.to_thread(is_remote, list(there))
        return True

    def ring(self) -> None:
        self._rung.set()

    async def wait(self) -> None:
        """Until it rings; without file events until it is time to look."""
        patience = POLL_S if self.blind else REMOTE_POLL_S if self._remote else None
        try:
            await asyncio.wait_for(self._rung.wait(), patience)
        except TimeoutError:
            pass
        self._rung.clear()

    async def close(self) -> None:
        await self._stop()

    def _happened(self, path: str) -> None:
        if not path or self._matters(path):
            self._rung.set()

    def _deaf(self, error: Exception) -> None:
        self._armed = {}
        self._go_blind(str(error))

    async def _stop(self) -> None:
        ear, self._ear, self._armed = self._ear, None, {}
        if ear is not None:
            await ear.close()

    def _go_blind(self, why: str) -> None:
        if self.blind:
            return
        self.blind = True
        self._rung.set()
        self._on_blind(why)


def _ident(folder: str) -> tuple[int, int] | None:
    """None where there is nothing to listen to."""
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if os.access(folder, os.R_OK) else None


def is_remote(folders: Iterable[str], mounts: str = "/proc/self/mounts") -> bool:
    """Whether any of them lies on a file system that others write to without this kernel."""
    try:
        with open(mounts) as table:
            rows = [line.split()[1:3] for line in table]
    except OSError:
        return False
    kinds = {_unescaped(point): kind.split(".")[0] for point, kind in rows}
    return any(kinds.get(_mount_of(folder, kinds), "") in REMOTE for folder in folders)


def _unescaped(point: str) -> str:
    return point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")


def _mount_of(folder: str, points: Iterable[str]) -> str:
    inside = [p for p in points if p in ("/", folder) or folder.startswith(p + "/")]
    return max(inside, key=len, default="/")
