"""Two ways of being told that something happened in a set of folders: the kernel's inotify, and watchfiles.

inotify, where there is one: it costs nothing while nothing happens, and tells at once. watchfiles knows the events of other
systems; it wakes up every few milliseconds to ask, whether or not anything happens.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from launchpad.hosts.local.inotify import CHANGES, IN_Q_OVERFLOW, Inotify

IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED_FROM = 0x4, 0x8, 0x40
IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF = 0x200, 0x400, 0x800
EVERYTHING = CHANGES | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF
REST_S = 0.01
"""Between two looks at what the kernel has to tell: a file that is written without pause costs little."""
STEP_MS = 20
"""How long watchfiles gathers events, and how often it wakes up."""

Happened = Callable[[str], None]
"""Called with the path of what was changed; "" for "perhaps anything"."""


class Ear(Protocol):
    async def listen(
        self, folders: Sequence[str], happened: Happened, deaf: Callable[[Exception], None]
    ) -> None:
        """From when this returns, `happened` is called in the event loop. Raises OSError, or what the library
        raises, where that cannot be; `deaf` is told when it ends later."""

    async def close(self) -> None: ...


class KernelEar:
    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._folders: dict[int, str] = {}
        self._rest: asyncio.TimerHandle | None = None

    async def listen(
        self, folders: Sequence[str], happened: Happened, deaf: Callable[[Exception], None]
    ) -> None:
        self._happened = happened
        self._inotify = Inotify()
        self._folders = {self._inotify.add(Path(folder), EVERYTHING): folder for folder in folders}
        self._hear()

    async def close(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None

    def _hear(self) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().add_reader(self._inotify.fd, self._readable)

    def _readable(self) -> None:
        assert self._inotify is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._inotify.fd)
        self._rest = loop.call_later(REST_S, self._hear)
        for path in dict.fromkeys(self._path(*event) for event in self._inotify.read()):
            self._happened(path)

    def _path(self, watch: int, mask: int, name: str) -> str:
        folder = self._folders.get(watch, "")
        if mask & IN_Q_OVERFLOW or not folder:
            return ""
        return os.path.join(folder, name) if name else folder


class WatchfilesEar:
    def __init__(self) -> None:
        self._listening: asyncio.Task[None] | None = None
        self._error: Exception | None = None

    async def listen(
        self, folders: Sequence[str], happened: Happened, deaf: Callable[[Exception], None]
    ) -> None:
        await asyncio.to_thread(_import_watchfiles)
        self._listening = asyncio.get_running_loop().create_task(self._listen(folders, happened))
        await asyncio.sleep(0)  # no pause: the watches are opened in the task's first step
        if self._error is not None:
            raise self._error
        self._listening.add_done_callback(lambda _: deaf(self._error) if self._error is not None else None)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self, folders: Sequence[str], happened: Happened) -> None:
        from watchfiles import awatch

        try:
            async for changes in awatch(
                *folders,
                watch_filter=None,
                debounce=STEP_MS,
                step=STEP_MS,
                force_polling=False,
                recursive=False,
                ignore_permission_denied=True,
            ):
                for _, path in changes:
                    happened(path)
        except Exception as error:
            self._error = error


def _import_watchfiles() -> None:
    import watchfiles  # noqa: F401 (so that importing it holds nobody up)
