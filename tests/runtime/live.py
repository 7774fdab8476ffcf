"""A supervisor with real processes in the test's own event loop, with the reload transaction at hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec import Struct

from launchpad.control.api import Snapshot
from launchpad.core.facts import CloseAsked, KillAsked
from launchpad.paths import stack_paths
from launchpad.runtime import store
from launchpad.runtime.options import UpOptions
from launchpad.runtime.read import read
from launchpad.runtime.reload import Patience, Reloader
from launchpad.runtime.supervisor import Supervisor

SLEEPER = f"{sys.executable} -m launchpad.pretend"
DEADLINE_S = 60.0
AT_ONCE = Patience(settle_s=0.0, broken_s=0.0, ending_s=0.0, cut_s=0.0)


class Live(Struct):
    file: Path
    supervisor: Supervisor
    reloader: Reloader

    def write(self, text: str | bytes) -> None:
        """In place, as `echo > file` does."""
        data = text.encode() if isinstance(text, str) else text
        with self.file.open("r+b") as stream:
            stream.truncate(0)
            stream.write(data)

    async def save(self, text: str | bytes) -> Snapshot:
        self.write(text)
        await self.reloader.saved()
        return self.supervisor.snapshot()

    def pids(self) -> dict[str, int]:
        """Of what runs and shall go on."""
        return {v.name: v.pid for v in self.supervisor.snapshot().services if v.pid and v.goal == "up"}

    async def until(self, true: Callable[[Snapshot], bool]) -> Snapshot:
        async with asyncio.timeout(DEADLINE_S):
            snapshot = self.supervisor.snapshot()
            while not true(snapshot):
                snapshot = await self.supervisor.status(snapshot.rev, 5.0)
            return snapshot

    async def up(self) -> Snapshot:
        return await self.until(lambda s: s.phase == "up")


@contextlib.asynccontextmanager
async def live(
    folder: Path, text: str, monkeypatch: pytest.MonkeyPatch, patience: Patience = AT_ONCE
) -> AsyncIterator[Live]:
    """The stack, up; at the end nothing of it lives."""
    with tempfile.TemporaryDirectory(prefix="lp", dir="/tmp") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        file = folder / "stack.yaml"
        file.write_text(text)
        paths = stack_paths(file)
        lock = store.take_lock(paths)
        assert lock is not None
        options = UpOptions(paths.file)
        supervisor = Supervisor(paths, read(options), store.begin(paths)[0])
        supervisor.start()
        one = Live(file, supervisor, Reloader(supervisor, options, patience))
        try:
            await one.up()
            await one.reloader.saved()
            yield one
        finally:
            supervisor.driver.step(CloseAsked(0))
            supervisor.driver.step(KillAsked())
            await asyncio.wait_for(supervisor.finished, DEADLINE_S)
            await supervisor.close()
            os.close(lock)
