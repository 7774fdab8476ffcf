"""Environments on this machine: looks whether one is there, and has it made by a process of its own if not.

As many at once as are asked for. Decides nothing about who waits for what; how one is made is `environment_maker`'s
business, what counts as made `environment_folder`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from launchpad.core.facts import Fact, Prepared, PrepareFailed, Preparing
from launchpad.core.model import Environment
from launchpad.core.wishes import Abandon, Prepare
from launchpad.hosts.local import environment_folder as disk
from launchpad.hosts.local import process
from launchpad.hosts.local.process_children import claim, disclaim
from launchpad.hosts.local.process_environment import inherited
from launchpad.hosts.local.tree_end import TreeEnd
from launchpad.paths import ENVIRONMENTS, StackPaths

LEFT = 128 + signal.SIGTERM
"""How a maker ends that was told to leave."""
KEPT = 1
"""While the stack runs, the environment that was there before stays, so that an edit can be taken back at once."""
LEAVE_S = 10.0
"""A maker that was told to leave ends what it started first; it is killed when it takes longer."""


class Environments:
    """Made in a running event loop. `tell` gets the answers. `needed`: the folders from which something of the stack may
    be started as it is defined now."""

    def __init__(
        self,
        tell: Callable[[Fact], None],
        paths: StackPaths,
        run_id: str,
        fault: Callable[[BaseException], None],
        needed: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._tell, self._paths, self._run_id, self._fault = tell, paths, run_id, fault
        self._needed, self._root = needed, str(paths.state_dir.parent / ENVIRONMENTS)
        self._asked: dict[int, asyncio.Task[None]] = {}
        self._folders: dict[int, str] = {}
        """What was asked for and is not answered yet."""
        self._used: dict[str, int] = {}
        self._links: dict[str, None] = {}
        self._makings = 0
        self._tidying: asyncio.Task[None] | None = None
        self._look_again = self._closed = False
        self._is_past = False
        """Something is led to no longer, and is used."""

    @property
    def does(self) -> dict[type, Callable[[Any], None]]:
        """The wishes that it carries out."""
        return {Prepare: self.prepare, Abandon: self.abandon}

    def prepare(self, wish: Prepare) -> None:
        if wish.request in self._asked:
            return
        task = asyncio.get_running_loop().create_task(self._prepare(wish.request, wish.environment))
        self._asked[wish.request], self._folders[wish.request] = task, wish.environment.folder
        task.add_done_callback(lambda task: self._done(wish.request, task))

    def abandon(self, wish: Abandon) -> None:
        if (task := self._asked.get(wish.request)) is not None:
            task.cancel()

    def _done(self, request: int, task: asyncio.Task[None]) -> None:
        del self._asked[request], self._folders[request]
        self._look_at(task)
        if self._makings:
            self._tidy_soon()

    def _look_at(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fault(error)

    # -- what nobody needs any more ----------------------------------------------------------------

    def ended(self) -> None:
        """A process of the stack has ended; perhaps it was the last one that ran from an old environment."""
        if self._is_past:
            self._tidy_soon()

    def _tidy_soon(self) -> None:
        self._look_again = True
        if self._tidying is None and not self._closed:
            self._tidying = asyncio.get_running_loop().create_task(self._tidy())
            self._tidying.add_done_callback(self._look_at)

    async def _tidy(self) -> None:
        while self._look_again:
            self._look_again = False
            needed = {*self._needed(), *self._folders.values()}
            for folder in [one for one in self._used if one not in needed]:
                os.close(self._used.pop(folder))
            links = tuple(self._links)
            self._is_past = await asyncio.to_thread(disk.tidy, self._root, links, needed=needed, keep=KEPT)
        self._tidying = None

    async def close(self, *, over: bool) -> None:
        """Everything that is being made is ended. `over`: nothing of the stack lives, so what is no longer led to can
        be taken away."""
        self._closed = True
        for task in list(self._asked.values()):
            task.cancel()
        await asyncio.gather(*self._asked.values(), *filter(None, [self._tidying]), return_exceptions=True)
        for fd in self._used.values():
            os.close(fd)
        if over and self._links:
            await asyncio.to_thread(disk.tidy, self._root, tuple(self._links))

    async def _prepare(self, request: int, wanted: Environment) -> None:
        if not self._links:
            await asyncio.to_thread(disk.forget_old_words, self._root)
        self._links[wanted.link] = None
        await self._hold(wanted.folder)
        if not await asyncio.to_thread(_is_there, wanted):
            title = disk.shown(wanted.link, wanted.folder)

            def progress(text: str) -> None:
                self._tell(Preparing(request, f"making {title}: {text}"))

            self._makings += 1
            said = await _Making(wanted, self._run_id, -self._makings, self._paths).run(progress)
            if "made" not in said:
                tail = "\n".join(map(str, said.get("tail", ())))
                text = (
                    f"its environment could not be made: {said.get('failed', 'whoever made it was killed')}"
                )
                self._tell(PrepareFailed(request, text, tail))
                return
        self._tell(Prepared(request))

    async def _hold(self, folder: str) -> None:
        """It is not taken away by another launchpad while this one lives."""
        if folder in self._used:
            return
        fd = await asyncio.to_thread(_used, folder)
        if self._used.setdefault(folder, fd) != fd:
            os.close(fd)


def _used(folder: str) -> int:
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    fd = disk.take(disk.use(folder), fcntl.LOCK_SH)
    assert fd is not None, "it was waited for"
    return fd


def _is_there(wanted: Environment) -> bool:
    return disk.is_whole(wanted.folder) and disk.leads_to(wanted.link, wanted.folder)


class _Making:
    """One maker, from its start to its end. All that it starts is marked, as what a service starts is, with a number
    that no attempt of a service has."""

    def __init__(self, wanted: Environment, run_id: str, number: int, paths: StackPaths) -> None:
        self._wanted, self._run_id, self._number, self._paths = wanted, run_id, number, paths
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._said: dict[str, Any] = {}
        self._closed = asyncio.Event()

    async def run(self, progress: Callable[[str], None]) -> dict[str, Any]:
        """What it said last. When this is cancelled, it and all that it started is ended before it returns."""
        child = self._start()
        assert child.stdout is not None
        fd = child.stdout.fileno()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read, fd, progress)
        try:
            await self._closed.wait()
        finally:
            try:
                await asyncio.shield(self._end(child))
            finally:
                self._loop.remove_reader(fd)
                child.stdout.close()
        return self._said

    def _start(self) -> subprocess.Popen[bytes]:
        marks = {process.RUN: self._run_id, process.ATTEMPT: str(self._number)}
        environment = {**inherited(True, os.environ), **marks}
        with contextlib.ExitStack() as files:
            asked = files.enter_context(open(os.memfd_create("environment"), "w+b"))
            asked.write(json.dumps(msgspec.to_builtins(self._wanted)).encode())
            asked.seek(0)
            errors = files.enter_context(open(self._paths.supervisor_log, "ab"))
            program = "launchpad.hosts.local.environment_maker"
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", program, str(os.getpid())],
                env=environment,
                stdin=asked,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        claim(child.pid)
        return child

    def _read(self, fd: int, progress: Callable[[str], None]) -> None:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(fd)
            self._closed.set()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "text" in said:
                progress(said["text"])
            else:
                self._said = said

    async def _end(self, child: subprocess.Popen[bytes]) -> None:
        """It ends by itself where it has said its last word; else it is told to."""
        if not self._closed.is_set():
            child.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(child.wait, LEAVE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await asyncio.to_thread(child.wait)
        disclaim(child.pid)
        if child.returncode not in (0, LEFT):
            await self._sweep()

    async def _sweep(self) -> None:
        """It could not see to what it had started."""
        gone = asyncio.Event()
        end = TreeEnd(self._loop, self._below, gone.set, lambda text: None)
        end.signal(signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await gone.wait()
        end.close()

    def _below(self) -> list[process.Stat]:
        found = process.find_by_run(self._run_id)
        stats = (process.stat(pid) for pid, attempt, _ in found if attempt == self._number)
        return [one for one in stats if one is not None and one.lives]
