"""Rings when something happens in a set of folders: the kernel's file events, or a slow look around without them.

Decides how one is woken, and falls back to looking where file events cannot be had. Refuses to know what happened:
whoever is woken looks for himself, so an event too many or one that tells half does no harm.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Any

STEP_MS = 10
"""How long watchfiles gathers events; also how long it takes at most to tell the first one."""
POLL_S = 0.25
"""Between two looks where the kernel does not tell."""

REMOTE_POLL_S = 1.0
"""Likewise where others may write to the files from another machine: the kernel here knows nothing of that."""
REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "vboxsf", "lustre", "ceph", "gpfs", "beegfs", "afs")

Matters = Callable[[str], bool]


def wants_poll() -> bool:
    forced = os.environ.get("WATCHFILES_FORCE_POLLING", "").lower()
    asked = os.environ.get("LAUNCHPAD_WATCH", "").lower() == "poll"
    return asked or forced not in ("", "false", "disable", "disabled", "0")


class Bell:
    """`matters` says of the path of an event whether to ring. `on_blind` is called once, with the reason, when
    file events cannot be had and folders are looked at every POLL_S instead."""

    def __init__(self, matters: Matters, on_blind: Callable[[str], None]) -> None:
        self._matters = matters
        self._on_blind = on_blind
        self._rung = asyncio.Event()
        self._armed: dict[str, tuple[int, int]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._remote = False
        self.blind = False

    async def arm(self, folders: Iterable[str]) -> bool:
        """Listen there from now on. True if that is news: what happened before is not told, so look again."""
        there = {folder: ident for folder in folders if (ident := _ident(folder)) is not None}
        if self.blind or there == self._armed:
            return False
        if wants_poll():
            self._go_blind("asked for by the environment")
            return False
        await self._stop()
        try:
            from watchfiles import awatch

            self._listening = asyncio.get_running_loop().create_task(self._listen(awatch, list(there)))
            await asyncio.sleep(0)  # no pause: the watches are opened in the task's first step
            if self._listening.done():
                self._listening.result()
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

    async def _listen(self, awatch: Any, folders: list[str]) -> None:
        try:
            async for _ in awatch(
                *folders,
                watch_filter=lambda change, path: self._matters(path),
                debounce=STEP_MS,
                step=STEP_MS,
                force_polling=False,
                recursive=False,
                ignore_permission_denied=True,
            ):
                self._rung.set()
        except Exception as error:
            self._armed = {}
            self._go_blind(str(error))

    async def _stop(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            self._listening, self._armed = None, {}

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
