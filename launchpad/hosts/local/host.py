"""The host that is this machine: carries wishes out in small steps, and tells what happened.

One event loop, no threads. Decides nothing: who is started, signalled or probed, and when, is the core's;
what a process, a tree, a port or a log is belongs to the modules beside this one. It only knows which
attempts have processes here, and hands each wish to the part that can do it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from launchpad.core.facts import Exited, Fact, Probed, Sampled, Spawned, SpawnFailed, TreeGone, TreeHeld
from launchpad.core.model import Handle, Sink
from launchpad.core.wishes import (
    Forget,
    HostWish,
    LeasePorts,
    Probe,
    ReleasePorts,
    Sample,
    Signal,
    Spawn,
)
from launchpad.hosts.base import Tell
from launchpad.hosts.local import descriptors, process, spawn
from launchpad.hosts.local.notify import close_notify, open_notify
from launchpad.hosts.local.ports import Ports
from launchpad.hosts.local.probes import Prober
from launchpad.hosts.local.process_children import Reaper, become_subreaper
from launchpad.hosts.local.process_environment import child_environment
from launchpad.hosts.local.process_oom import OomWatch
from launchpad.hosts.local.records import Record, complete_record, intent, remove_record, write_record
from launchpad.hosts.local.registry import private_runtime_dir
from launchpad.hosts.local.running import Running
from launchpad.hosts.local.sinks import SinkStatus
from launchpad.hosts.local.spawn_failure import PASSING, NotStarted
from launchpad.hosts.local.spool import Spools
from launchpad.hosts.local.tree import Trees
from launchpad.hosts.local.tree_end import TreeEnd, signal_all
from launchpad.paths import StackPaths

UNWATCHED_S = 0.05
"""How often a main process is looked at where the kernel can send neither pidfd nor SIGCHLD."""


@dataclass(slots=True)
class Here:
    """An attempt with processes on this machine. `end` waits for its tree, `killed` by our own SIGKILL."""

    running: Running
    end: TreeEnd | None = None
    killed: bool = False
    cpu_s: float = 0.0


class LocalHost:
    """Has to be made within a running event loop. The state folders must exist or be possible to make."""

    def __init__(
        self,
        tell: Tell,
        paths: StackPaths,
        stack_name: str,
        *,
        run_id: str,
        trouble: Callable[[str, str], None] | None = None,
    ) -> None:
        self._tell_out, self._paths, self._run_id = tell, paths, run_id
        self._loop = asyncio.get_running_loop()
        self._here: dict[int, Here] = {}
        self._log_starts: dict[str, int] = {}
        self._strangers: dict[int, TreeEnd] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unwatched: asyncio.TimerHandle | None = None
        self._trees = Trees(run_id, complete=become_subreaper())
        self._reaper = Reaper(self._loop, self._trees.is_session, self._children_ended)
        self._oom = OomWatch()
        self._spools = Spools(paths, trouble)
        self._prober = Prober(self._tell, self._pids)
        self._ports = Ports(paths, stack_name, run_id, self._main_pid)
        self._do: dict[type, Callable[[Any], None]] = {
            Spawn: self._spawn,
            Signal: self._signal,
            Probe: self._probe,
            Sample: self._sample,
            LeasePorts: self._lease,
            ReleasePorts: lambda wish: self._ports.release(wish.leases),
            Forget: lambda wish: None,
        }

    def submit(self, wishes: Sequence[HostWish]) -> None:
        for wish in wishes:
            self._do[type(wish)](wish)

    def route(self, service: str, sinks: tuple[Sink, ...]) -> None:
        self._spools.route(service, sinks)

    def sinks(self, service: str) -> list[SinkStatus]:
        """Where the sinks of a service stand."""
        return self._spools.sinks(service)

    @property
    def no_room(self) -> str:
        """Why what services print is lost at the moment; "" while it is kept."""
        return self._spools.no_room

    def log_start(self, service: str) -> int:
        """Where, in its log, the output of a service's latest attempt begins."""
        return self._log_starts.get(service, 0)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._prober.close()
        for end in [*self._strangers.values(), *(h.end for h in self._here.values() if h.end)]:
            end.close()
        self._reaper.close()
        if self._unwatched is not None:
            self._unwatched.cancel()
        for here in self._here.values():
            self._unwatch(here.running)
            if here.running.notify is not None:
                close_notify(here.running.notify)
        self._here.clear()
        await self._spools.close()
        await self._ports.close()

    def _tell(self, fact: Fact) -> None:
        if isinstance(fact, Probed) and fact.ok:
            self._ports.look(fact.service)
        self._tell_out(fact)

    # -- starting ----------------------------------------------------------------------------------

    def _spawn(self, wish: Spawn) -> None:
        with contextlib.ExitStack() as undo:
            try:
                running = self._start(wish, undo)
            except NotStarted as why:
                fact: Fact = SpawnFailed(
                    wish.service, wish.attempt, why.stage, why.text, why.final, why.detail
                )
            else:
                undo.pop_all()
                fact = Spawned(wish.service, wish.attempt, running.handle)
        self._tell(fact)

    def _start(self, wish: Spawn, undo: contextlib.ExitStack) -> Running:
        """Whatever was taken for a start that fails is given back by `undo`."""
        service, launch = wish.service, wish.launch
        environment = child_environment(
            launch, os.environ, run_id=self._run_id, attempt=wish.attempt, service=service
        )
        notify = None
        if launch.notify:
            name = f"{self._paths.key}-{wish.attempt}"
            notify, environment["NOTIFY_SOCKET"] = _staged(
                "notify", lambda: open_notify(private_runtime_dir(), name)
            )
            undo.callback(close_notify, notify)
        output, log, log_start = _staged("output", lambda: self._spools.open(service))
        record = intent(service, wish.attempt, self._run_id, wish.identity, launch)
        try:
            _staged("output", lambda: write_record(self._paths, record))
            undo.callback(remove_record, self._paths, service, wish.attempt)
            undo.callback(self._ports.ended, launch.ports)
            listeners = self._ports.open_door(launch.ports, launch.handovers)
            handle = spawn.spawn(launch.argv, environment, launch.working_dir, output, listeners)
        finally:
            os.close(output)
        running = Running(
            service, wish.attempt, handle, launch, log, log_start, time.time(), environment, notify=notify
        )
        self._keep(running, record)
        return running

    def _keep(self, running: Running, record: Record) -> None:
        self._here[running.attempt] = Here(running)
        self._log_starts[running.service] = running.log_start
        self._trees.add(running.attempt, running.handle)
        record = dataclasses.replace(
            record,
            handle=running.handle,
            started_at=running.started_at,
            log_start=running.log_start,
        )
        with contextlib.suppress(OSError):  # the intent is there: it is found by its markers
            complete_record(self._paths, record)
        try:
            pidfd = os.pidfd_open(running.handle.pid)
        except (AttributeError, OSError):
            self._watch_unwatched()
            return
        if descriptors.are_scarce(pidfd) and self._reaper.hears:  # SIGCHLD tells as well
            os.close(pidfd)
            return
        running.pidfd = pidfd
        self._loop.add_reader(pidfd, self._main_ended, running.attempt)

    # -- ending ------------------------------------------------------------------------------------

    def _main_ended(self, attempt: int) -> None:
        """The main process may have ended; if it has, this tells it, once."""
        here = self._here.get(attempt)
        if here is None or here.running.exited:
            return
        running = here.running
        code = spawn.wait(running.handle.pid)
        if code is None:
            return
        running.exited = True
        self._unwatch(running)
        self._prober.cancel(attempt)
        left = len(self._trees.members(attempt))
        oom = code == -signal.SIGKILL and not here.killed
        note = self._oom.note(running.handle.pid) if oom else ""
        if not left:
            self._forget(attempt)
        else:
            self._ports.shut_door(running.launch.ports)
        self._tell(Exited(running.service, attempt, code, left, note))
        if not left and here.end is not None:
            self._tell(TreeGone(running.service, attempt))

    def _tree_gone(self, attempt: int) -> None:
        here = self._here.get(attempt)
        if here is None:
            return
        if not here.running.exited:
            self._main_ended(attempt)  # it was the last; that tells of the tree, too
            return
        self._forget(attempt)
        self._tell(TreeGone(here.running.service, attempt))

    def _forget(self, attempt: int) -> None:
        """Nothing of it lives any more."""
        here = self._here.pop(attempt)
        running = here.running
        if here.end is not None:
            here.end.close()
        self._trees.drop(attempt)
        self._ports.ended(running.launch.ports)
        if running.notify is not None:
            close_notify(running.notify)
        remove_record(self._paths, running.service, attempt)

    def _children_ended(self) -> None:
        """SIGCHLD: for main processes without a pidfd, and for trees whose orphans are being waited for."""
        for attempt, here in list(self._here.items()):
            if here.running.pidfd is None and not here.running.exited:
                self._main_ended(attempt)
            if here.end is not None:
                here.end.look_soon()

    def _watch_unwatched(self) -> None:
        if not self._reaper.hears and self._unwatched is None:
            self._unwatched = self._loop.call_later(UNWATCHED_S, self._look_at_unwatched)

    def _look_at_unwatched(self) -> None:
        self._unwatched = None
        self._children_ended()
        if any(h.running.pidfd is None and not h.running.exited for h in self._here.values()):
            self._watch_unwatched()

    def _unwatch(self, running: Running) -> None:
        if running.pidfd is not None:
            self._loop.remove_reader(running.pidfd)
            os.close(running.pidfd)
            running.pidfd = None

    # -- signals -----------------------------------------------------------------------------------

    def _signal(self, wish: Signal) -> None:
        here = self._here.get(wish.attempt)
        if here is not None and wish.signal == signal.SIGKILL:
            here.killed = True
        if wish.scope == "tree":
            self._signal_tree(wish, here)
        elif here is None or not here.running.exited:
            handle = here.running.handle if here is not None else wish.handle
            one = None if handle is None or not process.alive(handle) else process.stat(handle.pid)
            if one is not None:
                signal_all([one], wish.signal)

    def _signal_tree(self, wish: Signal, here: Here | None) -> None:
        attempt = wish.attempt
        if here is None:
            self._signal_stranger(wish)
            return
        if here.end is None:
            here.end = TreeEnd(
                self._loop,
                lambda: self._trees.members(attempt),
                lambda: self._tree_gone(attempt),
                lambda text: self._tell(TreeHeld(wish.service, attempt, text)),
            )
        here.end.signal(wish.signal)

    def _signal_stranger(self, wish: Signal) -> None:
        """A tree that this host did not start, or that is gone already: it is looked for by its markers."""
        attempt = wish.attempt

        def gone() -> None:
            self._strangers.pop(attempt, None)
            self._trees.drop(attempt)
            self._tell(TreeGone(wish.service, attempt))

        if attempt not in self._strangers:
            self._trees.add(attempt, wish.handle or Handle(-1), adopted=True)
            self._strangers[attempt] = TreeEnd(
                self._loop,
                lambda: self._trees.members(attempt),
                gone,
                lambda text: self._tell(TreeHeld(wish.service, attempt, text)),
            )
        self._strangers[attempt].signal(wish.signal)

    # -- looking -----------------------------------------------------------------------------------

    def _probe(self, wish: Probe) -> None:
        here = self._here.get(wish.attempt)
        if here is not None and not here.running.exited:
            self._prober.probe(wish, here.running)

    def _sample(self, wish: Sample) -> None:
        here = self._here.get(wish.attempt)
        if here is None:
            return
        used = sum(one.cpu_s for one in self._trees.members(wish.attempt))
        here.cpu_s = max(here.cpu_s, used)
        written = self._spools.size(wish.service) - here.running.log_start
        self._tell(Sampled(wish.service, wish.attempt, written, here.cpu_s))

    def _pids(self, running: Running) -> set[int]:
        return {one.pid for one in self._trees.members(running.attempt)}

    def _main_pid(self, service: str) -> int | None:
        """Of the live main process of a service, if it has one."""
        for here in self._here.values():
            if here.running.service == service and not here.running.exited:
                return here.running.handle.pid
        return None

    # -- ports -------------------------------------------------------------------------------------

    def _lease(self, wish: LeasePorts) -> None:
        async def lease() -> None:
            self._tell(await self._ports.lease(wish))

        task = self._loop.create_task(lease())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _staged(stage: str, do: Callable[[], Any]) -> Any:
    try:
        return do()
    except OSError as error:
        final = stage != "ports" and error.errno not in PASSING
        where = f" `{error.filename}`" if error.filename else ""
        raise NotStarted(
            stage, f"launchpad could not open its {stage}{where}: {error.strerror}", final
        ) from None


__all__ = ["LocalHost"]
