"""Learns that files of the stack, or files that its services watch, were changed, and hands that on.

Decides what is looked at and how often. Refuses to know what a change means: `reload` and the core do.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from launchpad.core.facts import WatchedChanged
from launchpad.errors import Diagnostic
from launchpad.runtime.bell import POLL_S, Bell
from launchpad.runtime.contents import mark, trail
from launchpad.runtime.reload import Reloader
from launchpad.runtime.supervisor import Supervisor
from launchpad.runtime.watched import Found, Globs, stands_otherwise

QUIET_S = 0.05
"""So long nothing may change among watched files before a change is told: what is saved together is told together."""
QUIET_MOST_S = 1.0
LOOK_COST = 10
"""Looking through folders may take one part in so many of the time."""
REST_MOST_S = 5.0

SHOWN = 3
"""How many changed files are named."""

OnBlind = Callable[[str], None]


class Watching:
    """Runs until it is cancelled."""

    def __init__(self, supervisor: Supervisor, reloader: Reloader) -> None:
        self._supervisor = supervisor
        self._reloader = reloader
        self._told_blind = False

    async def run(self) -> None:
        files = FileWatch(self._reloader, self._on_blind)
        globs = GlobWatch(self._supervisor, self._on_blind)
        self._supervisor.on_adopted = globs.ring
        try:
            await asyncio.gather(files.run(), globs.run())
        except Exception as error:
            with open(self._supervisor.paths.supervisor_log, "a") as log:
                traceback.print_exception(error, file=log)
            self._supervisor.notices.announce("files are not watched any more", diagnostics=(_fault(error),))

    def _on_blind(self, why: str) -> None:
        if not self._told_blind:
            self._told_blind = True
            self._supervisor.notices.announce("files are watched by looking", diagnostics=(_blind(why),))


class FileWatch:
    """The files that the stack is made of."""

    def __init__(self, reloader: Reloader, on_blind: OnBlind) -> None:
        self._reloader = reloader
        self._paths: frozenset[str] = frozenset()
        self._bell = Bell(lambda path: path in self._paths, on_blind)

    async def run(self) -> None:
        try:
            last = None
            while True:
                folders = self._trails()
                again = await self._bell.arm(folders)
                files = self._reloader.inputs
                seen = [(file, mark(file)) for file in files]
                if seen != last:
                    last = seen
                    await self._reloader.saved()
                    again = True
                if not again:
                    await self._bell.wait()
        finally:
            await self._bell.close()

    def _trails(self) -> list[str]:
        found = [trail(file) for file in self._reloader.inputs]
        self._paths = frozenset(path for _, paths in found for path in paths)
        return list(dict.fromkeys(folder for folders, _ in found for folder in folders))


class GlobWatch:
    """The files that services watch."""

    def __init__(self, supervisor: Supervisor, on_blind: OnBlind) -> None:
        self._supervisor = supervisor
        self._globs = Globs({})
        self._bell = Bell(lambda path: self._globs.matters(path), on_blind)
        self._found = Found()
        self._cost_s = 0.0

    def ring(self) -> None:
        self._bell.ring()

    async def run(self) -> None:
        try:
            while True:
                self._refresh()
                if self._globs.is_empty:
                    self._found = Found()
                    self._supervisor.watches({})
                else:
                    await self._look()
                if await self._bell.arm(self._found.folders):
                    continue
                rest_s = min(REST_MOST_S, LOOK_COST * self._cost_s)
                await asyncio.sleep(rest_s)  # a large tree is looked through less often
                await self._bell.wait()
        finally:
            await self._bell.close()

    def _refresh(self) -> None:
        wanted = {s.name: s.watch for s in self._supervisor.reading.plan.services if s.watch}
        if wanted != self._globs.patterns:
            self._globs = Globs(wanted, str(self._supervisor.reading.dir))

    async def _look(self) -> None:
        """Tell what changed since the last look, once it has been quiet for a moment. What is watched only
        now was not watched before: it is news to nobody, unless an earlier supervisor watched it."""
        loop = asyncio.get_running_loop()
        before, until = self._found, loop.time() + QUIET_MOST_S
        found = await self._walk()
        self._tell_of_earlier(before, found)
        while changed := found.changed_since(before):
            await asyncio.sleep(QUIET_S)  # nothing tells that what is saved together is complete
            again = await self._walk()
            if again == found or loop.time() > until:
                self._tell({name: f"{_shown(files)} changed" for name, files in changed.items()})
                found = again
                break
            found = again
        if found != self._found:
            self._found = found
            self._supervisor.watches(self._globs.marks(found))

    def _tell_of_earlier(self, before: Found, found: Found) -> None:
        """What changed while no supervisor lived; of what was taken over, since that has read the old files."""
        if before == found:
            return
        was, units = self._supervisor.watched, self._supervisor.engine.units
        for name, now in self._globs.marks(found).items():
            is_new = name in was and name not in before.files and stands_otherwise(was[name], now)
            if is_new and name in units and units[name].taken_over:
                self._tell({name: "what it watches was changed while no supervisor lived"})

    async def _walk(self) -> Found:
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await asyncio.to_thread(self._globs.look)
        self._cost_s = loop.time() - began
        return found

    def _tell(self, changed: dict[str, str]) -> None:
        """To the journal, not to the console: that may write to a file which is watched. Service → what, in words."""
        units = self._supervisor.engine.units
        names = tuple(name for name in changed if name in units and units[name].wanted)
        if names and self._supervisor.is_open:
            told = {name: changed[name] for name in names if not units[name].suspended}
            self._supervisor.watched_changed(told)
            self._supervisor.driver.step(WatchedChanged(names))


def _shown(files: tuple[str, ...]) -> str:
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return ", ".join(Path(file).name for file in files[:SHOWN]) + more


def _blind(why: str) -> Diagnostic:
    return Diagnostic(
        "E613",
        "the kernel does not tell about changed files here",
        severity="warning",
        notes=(why,),
        consequence=f"they are looked at every {POLL_S:g} s; a save is applied that much later",
        hint="raise `fs.inotify.max_user_watches` and `fs.inotify.max_user_instances`"
        if sys.platform == "linux"
        else "",
    )


def _fault(error: Exception) -> Diagnostic:
    return Diagnostic(
        "E613",
        f"watching files failed: {error}",
        severity="warning",
        consequence="a save is not applied by itself",
        hint="launchpad reload",
    )
