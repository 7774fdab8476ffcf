"""Threads for work that a slow disk may hold up: as many as are busy at once, none when there is nothing.

The threads are daemons: one that the kernel holds in a write for ever does not keep the program from ending.
Refuses to know what the work is.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

Work = Callable[[], None]
_IDLE_S = 5.0


class Pool:
    """Runs each piece of work at once in a thread of its own, taking an idle one where there is one. At
    most `limit` threads; what comes beyond that waits for one of them."""

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._queue: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._busy = 0

    def submit(self, work: Work) -> None:
        """`work` must not raise."""
        with self._lock:
            self._busy += 1
            grow = self._busy > self._threads and self._threads < self._limit
            if grow:
                self._threads += 1
        self._queue.put(work)
        if grow:
            threading.Thread(target=self._run, name="launchpad-sink", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                work = self._queue.get(timeout=_IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._busy >= self._threads:
                        continue
                    self._threads -= 1
                    return
            try:
                work()
            finally:
                with self._lock:
                    self._busy -= 1
