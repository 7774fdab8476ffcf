"""Snapshots as they come, for a reader that has other things to wait for.

Decides how a feed is asked and how its end is told. Refuses to know what is in a snapshot.
"""

from __future__ import annotations

import threading
from typing import Protocol

from launchpad.control.api import Snapshot
from launchpad.views.alarm import Alarm

POLL_S = 30.0
"""How long one question for a newer snapshot may stay open."""


class Feed(Protocol):
    """Where snapshots come from."""

    def wait(self, after_rev: int, timeout_s: float) -> Snapshot:
        """The stack as soon as it is newer than `after_rev`, or as it is when `timeout_s` is over.
        Raises ConnectionError when there is nobody left to ask."""


class News:
    """Asks the feed in a thread of its own, so that output goes on while nothing else is new."""

    def __init__(self, feed: Feed) -> None:
        self.alarm = Alarm()
        self._feed = feed
        self._lock = threading.Lock()
        self._newest: Snapshot | None = None
        self._error: Exception | None = None
        self._gone = False
        self._closed = False

    def start(self) -> None:
        threading.Thread(target=self._ask, name="feed", daemon=True).start()

    def take(self) -> tuple[Snapshot | None, bool]:
        """The newest snapshot, and whether the feed has ended. Raises what the feed raised."""
        with self._lock:
            if self._error is not None:
                raise self._error
            return self._newest, self._gone

    def ask_once(self) -> None:
        """Look once more, without waiting; from now on the feed's faults are of no interest."""
        try:
            self._put(self._feed.wait(-1, 0))
        except Exception:
            self._put(None)
        self._error = None

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self.alarm.close()

    def _ask(self) -> None:
        revision = -1
        while not self._closed:
            try:
                snapshot = self._feed.wait(revision, POLL_S)
            except ConnectionError:
                self._put(None)
                return
            except Exception as error:
                self._error = error
                self._put(None)
                return
            if snapshot.rev != revision:
                revision = snapshot.rev
                self._put(snapshot)
            if snapshot.phase == "finished":
                return

    def _put(self, snapshot: Snapshot | None) -> None:
        with self._lock:
            if self._closed:
                return
            if snapshot is None:
                self._gone = True
            elif self._newest is None or self._newest.pid != snapshot.pid or snapshot.rev >= self._newest.rev:
                self._newest = snapshot
            self.alarm.ring()
