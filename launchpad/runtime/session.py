"""One supervisor's life in this process: start, serve, until the stack is finished."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from launchpad.control.api import Snapshot
from launchpad.errors import ExitCode
from launchpad.hosts.local.cgroup import Group
from launchpad.hosts.local.descriptors import raise_limit
from launchpad.hosts.local.keeper import Keeper
from launchpad.hosts.local.survey import Survey
from launchpad.paths import StackPaths
from launchpad.plan.read import Reading
from launchpad.runtime import kept, signpost, store
from launchpad.runtime.errorlog import ErrorLog
from launchpad.runtime.interrupts import SIGNALS, Interrupts
from launchpad.runtime.options import UpOptions
from launchpad.runtime.owner import Owner

if TYPE_CHECKING:
    from launchpad.control.server import ControlServer
    from launchpad.runtime.control import Control
    from launchpad.runtime.supervisor import Supervisor

BEGIN_AT_LATEST_S = 0.1
SOCKET_LOOK_S = 5.0
GARBAGE = (700, 10, 10)
"""Python's own numbers; see `cli.main`."""


class Session:
    """`begin` is called in the loop once the first processes have been started (or could not be): what is
    not needed for that waits until then. `end` is awaited when the stack is finished, before letting go."""

    def __init__(
        self,
        options: UpOptions,
        reading: Reading,
        paths: StackPaths,
        found: Survey | None = None,
        owner: Owner | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self.options, self.reading, self.paths = options, reading, paths
        self._found = found
        self._owner = owner
        self.keeper = Keeper(paths) if keeper is None else keeper
        self.begin: Callable[[], None] = lambda: None
        self.end: Callable[[], object] | None = None
        self._begun = False
        self._server: ControlServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._staying: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._kept = False

    def run(self) -> int:
        """Blocks until the stack is finished; returns its exit code."""
        raise_limit()
        self.keeper.become(ends_all=self._ends_all(self.reading))
        in_order = False
        try:
            code, in_order = self._run()
            return code
        finally:
            if in_order:
                self.keeper.dismiss()
            else:
                self.keeper.abandon()

    def _ends_all(self, reading: Reading) -> bool:
        """Whether nothing shall outlive the supervisor."""
        return bool(self.options.job) or self._owner is not None or reading.when_supervisor_dies == "stop"

    def _run(self) -> tuple[int, bool]:
        """The exit code, and whether nothing of the stack lives any more."""
        loop = asyncio.new_event_loop()
        self.loop = loop
        loop.set_exception_handler(ErrorLog(self.paths.supervisor_log))
        try:
            return loop.run_until_complete(self._main())
        finally:
            _cancel_all(loop)
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            loop.close()

    async def _main(self) -> tuple[int, bool]:
        stored, trouble = store.begin(self.paths)
        self._group = Group(stored.run_id)
        self.supervisor = self._supervisor(stored)
        if trouble:
            self.supervisor.notices.announce(trouble)
        Interrupts(self.supervisor).install(self.loop)
        self._group.entered()
        self.supervisor.start()
        if self._owner is not None:
            self._owner.watch(self.loop, self._ended_with_owner)
        self.loop.call_later(BEGIN_AT_LATEST_S, self._begin)
        in_order = True
        try:
            code = await self.supervisor.finished
        except Exception:
            code, in_order = int(ExitCode.BROKEN), False
            where = self.paths.supervisor_log
            print(f"error[E901]: launchpad itself failed; the traceback is in {where}", file=sys.stderr)  # noqa: T201
        self._begin()
        await self._finish()
        return code, in_order

    def _supervisor(self, stored: store.Stored) -> Supervisor:
        """Imported here, while the kernel takes its time over the group."""
        from launchpad.runtime.supervisor import Supervisor

        made = Supervisor(
            self.paths,
            self.reading,
            stored,
            (self.options.job,) if self.options.job else self.options.names,
            timeout_s=self.options.timeout_s,
            after_start=self._begin,
            found=self._found,
            keeper=self.keeper,
            alone=bool(self.options.job),
            resumes=self.options.resumes,
        )
        made.asked = self.options.asked()
        made.ends_with = self.options.until_exit
        made.guard = lambda reading: self.keeper.become(ends_all=self._ends_all(reading))
        return made

    def _ended_with_owner(self) -> None:
        self.supervisor.notices.announce(
            f"process {self.options.until_exit} has ended, and the stack ends with it"
        )
        self.supervisor.ask_down(kill=False)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            gc.freeze()  # what is there now stays: looking for garbage among it again and again finds none
            gc.set_threshold(*GARBAGE)
            self.begin()
            self._serving = self.loop.create_task(self._serve())

    async def _serve(self) -> None:
        from launchpad.runtime.control import Control
        from launchpad.runtime.reload import Reloader

        reloader = Reloader(self.supervisor, self.options)
        control = Control(self.supervisor, reloader)
        try:
            await self._listen(control)
        except OSError as error:
            why = f"{error.filename or self.paths.new_socket}: {error.strerror or error}"
            told = f"nobody can ask about this stack, its control socket cannot be made ({why}); Ctrl-C and `launchpad down` end it"
            self.supervisor.notices.announce(told)
        self._staying = self.loop.create_task(self._stay_reachable(control))
        if self.options.watch and not self.options.job:
            from launchpad.runtime.watch import Watching

            self._watching = self.loop.create_task(Watching(self.supervisor, reloader).run())
        self._keeping = self.loop.create_task(self._keep_reading())

    async def _keep_reading(self) -> None:
        """For the next start; and whoever edits the file soon does not wait until it is imported what reads it. Neither
        is in a hurry while services start."""
        await self.supervisor.started.wait()
        self._keep()
        reading = self.supervisor.reading
        if self.options.watch and not self.options.job:
            await asyncio.to_thread(lambda: reading.loaded)

    def _keep(self) -> None:
        reading = self.supervisor.reading
        if reading.is_loaded and not self._kept:
            self._kept = True
            kept.save(self.paths.kept, reading)

    async def _listen(self, control: Control) -> None:
        from launchpad.control.server import serve

        old, self._server = self._server, await serve(control, self.paths.new_socket)
        signpost.put_up(self.paths)
        if old is not None:
            await old.close()

    async def _stay_reachable(self, control: Control) -> None:
        """Whoever cleans up temporary folders takes the socket away from under a supervisor that lives."""
        while True:
            await asyncio.sleep(SOCKET_LOOK_S)  # the folder may go as a whole, and with it what watched it
            if self._server is None or not os.path.lexists(self.paths.new_socket):
                with contextlib.suppress(OSError):
                    await self._listen(control)

    async def _finish(self) -> None:
        leaving = self.loop.create_task(
            asyncio.to_thread(self._group.leave)
        )  # the kernel takes its time over it
        if self.supervisor.started.is_set():
            self._keep()  # a stack may be done sooner than anybody came to this
        for task in (self._watching, self._staying, self._keeping):
            if task is not None:
                task.cancel()
        own = (self._serving, self._reporting, self._watching, self._staying, self._keeping)
        tasks = [t for t in own if t is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.end is not None:
            await asyncio.to_thread(self.end)
        if self._server is not None:
            await self._server.close()
        with contextlib.suppress(OSError):
            self.paths.new_socket.unlink(missing_ok=True)
        signpost.take_down(self.paths)
        await self.supervisor.close()
        await leaving

    def reporting(self, send: Callable[[Snapshot], bool]) -> None:
        """Give `send` every new picture until it says that it needs no more."""
        self._reporting = self.loop.create_task(self._report(send))

    async def _report(self, send: Callable[[Snapshot], bool]) -> None:
        if self._serving is not None:  # who is told that the stack is up may ask for it at once
            await asyncio.wait([self._serving])
        snapshot = await self.supervisor.status()
        while send(snapshot):
            snapshot = await self.supervisor.status(snapshot.rev, 60.0)

    def wait(self, after_rev: int, timeout_s: float) -> Snapshot:
        """For a view in another thread (`views.console.Feed`): the next picture."""
        waiting = asyncio.run_coroutine_threadsafe(self.supervisor.status(after_rev, timeout_s), self.loop)
        return waiting.result(timeout_s + 10)


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
