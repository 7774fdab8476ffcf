"""Wakes a reader when a spool grows, or when somebody calls.

Decides how waiting is done: the kernel's file events and a pipe, or a slow look around where file events
are not to be had. Refuses to know what is read.
"""

from __future__ import annotations

import os
import select
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launchpad.hosts.local.inotify import Inotify

LOOK_S = 0.25
"""How often to look where the kernel does not tell about files."""
FRAME_S = 0.02
"""Shortest time between two looks at files that change without pause."""


class Alarm:
    """One waiting thread; any thread may `ring`."""

    def __init__(self) -> None:
        self._bell, self._rope = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._closed = False
        self._folders: set[Path] = set()
        self._blind = False
        self._looked_at = 0.0
        self._inotify = self._open()

    def _open(self) -> Inotify | None:
        try:
            from launchpad.hosts.local.inotify import Inotify

            return Inotify()
        except OSError:
            self._blind = True
            return None

    def watch(self, folder: Path) -> None:
        """Wake when a file in `folder` grows or appears. A folder that is not there yet is looked for."""
        if folder in self._folders or self._inotify is None:
            return
        try:
            self._inotify.add(folder)
            self._folders.add(folder)
        except OSError:
            self._blind = True

    def ring(self) -> None:
        """End the wait that is going on, or the next one. Harmless once it is closed."""
        with self._lock:
            if self._closed:
                return
            try:
                os.write(self._rope, b"!")
            except BlockingIOError:
                pass  # it rings already

    def wait(self, timeout_s: float | None) -> None:
        """Until a file changed, somebody rang, or `timeout_s` is over."""
        if self._blind:
            timeout_s = LOOK_S if timeout_s is None else min(timeout_s, LOOK_S)
        pause = self._looked_at + FRAME_S - time.monotonic()
        if pause > 0:
            first = pause if timeout_s is None else min(pause, timeout_s)
            if self._select([self._bell], first) or first == timeout_s:
                return
            timeout_s = None if timeout_s is None else timeout_s - first
        sources = [self._bell] + ([self._inotify.fd] if self._inotify else [])
        self._select(sources, timeout_s)
        self._looked_at = time.monotonic()

    def _select(self, sources: list[int], timeout_s: float | None) -> bool:
        poll = select.poll()  # `select` does not take descriptors from 1024 on
        for source in sources:
            poll.register(source, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(None if timeout_s is None else max(0, timeout_s) * 1000)]
        if self._bell in ready:
            os.read(self._bell, 4096)
        if self._inotify is not None and self._inotify.fd in ready:
            self._inotify.read()
        return bool(ready)

    def close(self) -> None:
        """Nobody waits any more; called by the thread that waited."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.close(self._bell)
            os.close(self._rope)
        if self._inotify is not None:
            self._inotify.close()
