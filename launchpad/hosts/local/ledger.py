"""What is kept of each attempt for whoever comes after this supervisor: its record, and the keeper's descriptor.

Decides when what is written. A job that is done keeps its record until the stack ends or the job is started
again, so that a later supervisor does not do its work twice.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from launchpad.core.wishes import Signal, Spawn
from launchpad.hosts.local.records import Book, Record, end, intent
from launchpad.hosts.local.running import Here, Running
from launchpad.hosts.local.spool import NOWHERE
from launchpad.paths import StackPaths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launchpad.core.model import Lease
    from launchpad.hosts.local.keeper import Keeper

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)


class Ledger:
    """`soon` calls back once what happens now has been dealt with. `flush` has to follow `watch`."""

    def __init__(
        self,
        paths: StackPaths,
        run_id: str,
        keeper: Keeper | None,
        soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self._run_id, self._keeper, self._soon = run_id, keeper, soon
        self._flushes = False
        self._book = Book(paths)
        self._done: dict[str, int] = {}
        """Jobs that are done, with the attempt whose record says so."""
        self.claims: Callable[[tuple[Lease, ...]], list[int]] = lambda gpus: []
        """Descriptors that hold these GPUs."""

    def about_to_start(self, wish: Spawn, log: Path, log_start: int, notify: str) -> Record:
        """Raises OSError: what cannot be written down must not be started."""
        record = replace(
            intent(wish.service, wish.attempt, self._run_id, wish.identity, wish.launch),
            log_start=log_start,
            silent=log == NOWHERE,
            notify=notify,
        )
        self._book.begin(record)
        return record

    def not_started(self, attempt: int) -> None:
        self._book.drop(attempt)

    def started(self, running: Running, record: Record) -> None:
        self.drop_done(running.service)
        self._book.complete(replace(record, handle=running.handle, started_at=running.started_at))

    def watch(self, running: Running, pidfd: int) -> None:
        """How it ends is known from now on, whoever lives then."""
        if self._keeper is not None:
            said = None if running.notify is None else running.notify.fileno()
            claims = self.claims(running.launch.gpus)
            self._keeper.watch(running.service, running.attempt, running.handle, pidfd, said, claims)

    def ready(self, running: Running) -> None:
        """What it has said by NOTIFY_SOCKET it does not say again."""
        if running.launch.notify and not running.notified:
            running.notified = True
            self._book.note(running.attempt, notified=True)

    def signalled(self, here: Here, wish: Signal) -> None:
        """What was asked to end is taken over by nobody any more."""
        running = here.running
        ends = wish.scope == "tree" or wish.signal in (running.launch.stop.signal, *ENDING)
        if ends and not here.leaving and not running.exited:
            here.leaving = True
            self._book.note(running.attempt, leaving=True)

    def ended(self, running: Running, code: int | None) -> None:
        self._book.note(running.attempt, **end(code))

    def gone(self, running: Running, *, done: bool) -> None:
        """Nothing of it lives. `done`: it was a job, and has done its work."""
        if done:
            self.drop_done(running.service)
            self._done[running.service] = running.attempt
        else:
            self._book.drop(running.attempt)
        if self._keeper is not None:
            self._keeper.drop(running.attempt)
            if not self._flushes:
                self._flushes = True
                self._soon(self.flush)

    def flush(self) -> None:
        """Tell the keeper, of all that came together at once."""
        self._flushes = False
        if self._keeper is not None:
            self._keeper.flush()

    def drop_done(self, service: str) -> None:
        """Nobody needs to know any more that this job is done."""
        if (attempt := self._done.pop(service, None)) is not None:
            self._book.drop(attempt)

    def close(self) -> None:
        """Nothing of the stack lives: all of it was seen to its end."""
        for service in list(self._done):
            self.drop_done(service)
        self._book.close()
