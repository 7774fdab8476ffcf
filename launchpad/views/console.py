"""What a person sees of a stack in the foreground: output as it comes, progress, failures, the end.

Decides the order in which things are shown. Refuses to know where snapshots come from and to change
anything in the stack. A terminal that does not read blocks this console and nobody else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from launchpad.control.api import Snapshot
from launchpad.errors import Diagnostic
from launchpad.views import progress
from launchpad.views.changes import LOUD, NORMAL, QUIET, Change, changes, clock
from launchpad.views.lines import Follower, OpenSpool, open_spool
from launchpad.views.news import Feed, News
from launchpad.views.surface import Surface
from launchpad.views.words import STYLES, plain

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

JUST_NOW_S = 2.0
REDRAW_S = 0.2
"""How often the block is drawn again while it shows running clocks."""


class Console:
    """Shows one stack from now until it is finished, its feed ends, or `stop`.

    `starts` says where in each spool to begin (`spool_reader.ends`, taken before the start); a service
    that is not in it begins at its first byte. None: begin where the spools end now."""

    def __init__(
        self,
        feed: Feed,
        *,
        tty: bool,
        color: bool,
        out: TextIO,
        err: TextIO,
        starts: Mapping[str, int] | None = None,
        output: bool = True,
        open_spool: OpenSpool = open_spool,
        rich_console: RichConsole | None = None,
    ) -> None:
        self._news = News(feed)
        self._surface = Surface(tty=tty, color=color, out=out, err=err, console=rich_console)
        self._follower = Follower(self._surface.output, color=color, open_spool=open_spool)
        self._starts = starts
        self._owns = starts is not None
        """Whether the stack ends with whoever is told of it here; else they only watch."""
        self._output = output
        self._last: Snapshot | None = None
        self._begun_at = self._phase_since = time.time()
        self._summarised = ""
        self._told: dict[tuple[str, str], int] = {}
        self._drawn_at = 0.0
        self._stopping = threading.Event()
        self._over = threading.Event()

    @property
    def last(self) -> Snapshot | None:
        """The snapshot that was shown last."""
        return self._last

    def run(self, until: Callable[[Snapshot], bool] | None = None) -> None:
        """Show everything; returns when the stack is finished, when its feed has ended, after `stop`, or
        once `until` is true of what was shown. What else the feed raises is raised here."""
        try:
            self._news.start()
            self._loop(until or _never)
        finally:
            self._surface.hide_block()
            self._news.close()
            self._over.set()

    def stop(self, timeout_s: float) -> bool:
        """Show what is still to be shown and end; false if for `timeout_s` nobody took any of it."""
        self._stopping.set()
        self._news.alarm.ring()
        begun = time.monotonic()
        while not self._over.is_set():
            left = max(begun, self._surface.moved_at) + timeout_s - time.monotonic()
            if left <= 0:
                return False
            self._over.wait(left)
        return True

    def _loop(self, until: Callable[[Snapshot], bool]) -> None:
        while True:
            stopping = self._stopping.is_set()
            if stopping:
                self._news.ask_once()
            snapshot, gone = self._news.take()
            if snapshot is not None and snapshot is not self._last:
                self._show(snapshot)
            seen_all = self._last is not None and (self._last.phase == "finished" or until(self._last))
            if stopping or gone or seen_all:
                return self._end(gone and not seen_all)
            if not self._owns and self._surface.deserted:
                return None
            more = self._follower.pump()
            self._follower.pump_unfinished()
            self._draw()
            if not more:
                self._news.alarm.wait(self._patience())

    def _patience(self) -> float | None:
        redraw = max(0.0, self._drawn_at + REDRAW_S - time.monotonic()) if self._shows_block() else None
        times = [self._follower.due(), redraw]
        return min((t for t in times if t is not None), default=None)

    def _show(self, snapshot: Snapshot) -> None:
        before, self._last = self._last, snapshot
        self._follow(snapshot)
        if before is None or before.phase != snapshot.phase:
            self._phase_since = time.time() if before else snapshot.started_at
        news = changes(before, snapshot, time.time())
        ended = [change.name for change in news if change.weight != QUIET]
        self._follower.finish(ended)
        self._tell_notices(before, snapshot)
        for change in news:
            self._tell(change)
        for diagnostic in snapshot.diagnostics:
            if _key(diagnostic) not in self._told:
                self._diagnose(diagnostic)
        present = {_key(diagnostic) for diagnostic in snapshot.diagnostics}
        self._told = {key: lines for key, lines in self._told.items() if key in present}
        self._drawn_at = 0.0
        if snapshot.phase in ("up", "degraded") and self._summarised not in ("up", snapshot.phase):
            self._summarise(snapshot)

    def _follow(self, snapshot: Snapshot) -> None:
        for view in snapshot.services:
            if view.log:
                path = Path(view.log)
                self._news.alarm.watch(path.parent)
                offset = None if self._starts is None else self._starts.get(view.name, 0)
                self._follower.add(view.name, path, offset, shown=self._output and view.console)

    def _tell(self, change: Change) -> None:
        if not self._surface.tty:
            self._surface.message(f"{change}\n")
            return
        in_block = not self._summarised and change.word != "done"
        if change.weight == QUIET or (change.weight == NORMAL and in_block):
            return
        from rich.text import Text

        style = STYLES[change.word] if change.weight == LOUD else "dim"
        self._surface.styled(
            Text.assemble((f"{clock(change.at)} ", "dim"), (change.name, "bold"), (f" {change.text}", style))
        )

    def _tell_notices(self, before: Snapshot | None, snapshot: Snapshot) -> None:
        """What became of saves since we look, from its start if we began the stack; of those before that, the
        snapshot says what still matters."""
        seen = before or (snapshot if self._starts is None else None)
        last = max((notice.number for notice in seen.notices), default=0) if seen else 0
        for notice in snapshot.notices:
            if notice.number > last:
                lines = [f"{clock(notice.at)} {plain(notice.text)}", *(f"  {line}" for line in notice.lines)]
                self._surface.message("\n".join(lines) + "\n")
                for diagnostic in notice.diagnostics:
                    self._diagnose(diagnostic)

    def _diagnose(self, diagnostic: Diagnostic) -> None:
        from launchpad.views.diagnostics import render

        text = render([diagnostic], color=self._surface.color, width=self._surface.width)
        self._surface.message(text.rstrip("\n") + "\n")
        self._told[_key(diagnostic)] = self._follower.written

    def _summarise(self, snapshot: Snapshot) -> None:
        self._summarised = snapshot.phase
        self._surface.hide_block()
        lines = progress.summary(snapshot, self._took(snapshot))
        if self._surface.tty:
            self._surface.styled(*progress.summary_styled(lines, snapshot.phase == "up"))
        else:
            self._surface.message("\n".join(lines) + "\n")

    def _took(self, snapshot: Snapshot) -> float | None:
        """Seconds from the supervisor's start until all was up; None if that was before we looked."""
        last = max((view.ready_at or view.since for view in snapshot.services), default=snapshot.started_at)
        return max(0.0, last - snapshot.started_at) if last >= self._begun_at - JUST_NOW_S else None

    def _shows_block(self) -> bool:
        return self._surface.tty and self._last is not None and self._last.phase in ("starting", "stopping")

    def _draw(self) -> None:
        if not self._shows_block():
            self._surface.hide_block()
            return
        if time.monotonic() - self._drawn_at < REDRAW_S:
            return
        self._drawn_at = time.monotonic()
        assert self._last is not None
        self._surface.show_block(
            progress.block(
                self._last,
                self._follower.last_line,
                width=self._surface.width,
                height=self._surface.height,
                now=time.time(),
                since=self._phase_since,
                ours=self._owns,
            )
        )

    def _end(self, gone: bool) -> None:
        self._surface.hide_block()
        self._follower.finish()
        snapshot = self._last
        if snapshot is None or (snapshot.phase != "finished" and not gone):
            return
        if snapshot.phase not in ("finished", "stopping"):
            if not self._stopping.is_set():
                self._surface.message(
                    f"the supervisor of {snapshot.stack} (pid {snapshot.pid}) is gone; "
                    "its services go on. `launchpad down` ends them\n"
                )
            return
        for diagnostic in snapshot.diagnostics:
            if diagnostic.is_error and self._told.get(_key(diagnostic), 0) < self._follower.written - 10:
                self._diagnose(diagnostic)
        self._surface.message(f"{progress.farewell(snapshot)}\n")


def _never(snapshot: Snapshot) -> bool:
    return False


def _key(diagnostic: Diagnostic) -> tuple[str, str]:
    """The same problem, even if its evidence has grown."""
    return diagnostic.code, diagnostic.message
