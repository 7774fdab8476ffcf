"""The host that is this machine: carries wishes out in small steps, and tells what happened.

One event loop, no threads. Decides nothing: who is started, signalled or probed, and when, is the core's;
what a process, a tree, a port or a log is belongs to the modules beside this one. It only knows which
attempts have processes here, and hands each wish to the part that can do it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from launchpad.core.facts import Exited, Fact, Probed, Sampled, Spawned, SpawnFailed, TreeGone, TreeHeld
from launchpad.core.model import Launch, Lease, Sink
from launchpad.core.wishes import Forget, HostWish, LeasePorts, Probe, Sample, Signal, Spawn
from launchpad.hosts.base import Tell
from launchpad.hosts.local import barred, descriptors, process, process_children, spawn
from launchpad.hosts.local.adopt import running_of
from launchpad.hosts.local.chores import Chores
from launchpad.hosts.local.environments import Environments
from launchpad.hosts.local.gpu import GpuMemory
from launchpad.hosts.local.gpus import Gpus
from launchpad.hosts.local.keeper import Keeper
from launchpad.hosts.local.ledger import Ledger
from launchpad.hosts.local.notify import close_notify, open_notify
from launchpad.hosts.local.ports import Ports
from launchpad.hosts.local.probes import Prober
from launchpad.hosts.local.process_end import End, end_of
from launchpad.hosts.local.process_environment import child_environment
from launchpad.hosts.local.process_oom import OomWatch
from launchpad.hosts.local.registry import private_runtime_dir
from launchpad.hosts.local.running import Here, Running
from launchpad.hosts.local.spawn_failure import NotStarted, staged
from launchpad.hosts.local.spool import Spools
from launchpad.hosts.local.spool_writers import written_to
from launchpad.hosts.local.strangers import Strangers
from launchpad.hosts.local.survey import Found
from launchpad.hosts.local.tree import Trees
from launchpad.hosts.local.tree_end import TreeEnd, signal_all
from launchpad.paths import StackPaths


class LocalHost:
    """Has to be made within a running event loop. The state folders must exist or be possible to make.
    `fault` is told of errors of launchpad itself, in what goes on beside the wishes; `needed` are the folders of
    environments that the stack is defined with."""

    def __init__(
        self,
        tell: Tell,
        paths: StackPaths,
        stack_name: str,
        *,
        run_id: str,
        trouble: Callable[[str, str], None] | None = None,
        fault: Callable[[BaseException], None] = lambda error: None,
        keeper: Keeper | None = None,
        needed: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._tell_out, self._paths, self._run_id = tell, paths, run_id
        self._loop, self._environ = asyncio.get_running_loop(), dict(os.environ)
        self._ledger = Ledger(paths, run_id, keeper, self._loop.call_soon)
        self._here: dict[int, Here] = {}
        self._of: dict[str, dict[int, Here]] = {}
        """The same, of each service."""
        self._heard = process_children.Together(self._loop, self._main_ended)
        self._log_starts: dict[str, int] = {}
        self._chores = Chores(self._loop, fault)
        self._trees = Trees(run_id, complete=process_children.become_subreaper())
        self._strangers = Strangers(self._loop, self._trees, self._tell)
        self._reaper = process_children.Reaper(self._loop, self._trees.is_session, self._children_ended)
        self._unwatched = process_children.Unwatched(
            self._loop,
            lambda: any(one.adopted or not self._reaper.hears for one in self._without_pidfd()),
            self._children_ended,
        )
        self._oom = OomWatch()
        self._gpus = GpuMemory()
        self.spools = Spools(paths, trouble)
        self._prober = Prober(self._tell, self._pids)
        gpus = Gpus(run_id, self._gpus, self._tell)
        self._ports = Ports(paths, stack_name, run_id, self._main_pid, gpus)
        self._ledger.claims = self._ports.claims
        self._environments = Environments(self._tell, paths, run_id, fault, needed)
        self._do: dict[type, Callable[[Any], None]] = {
            Spawn: self._spawn,
            Signal: self._signal,
            Probe: self._probe,
            Sample: self._sample,
            LeasePorts: lambda wish: self._chores.start(self._lease(wish)),
            Forget: lambda wish: self._ledger.drop_done(wish.service),
            **self._ports.does,
            **self._environments.does,
        }

    def submit(self, wishes: Sequence[HostWish]) -> None:
        for wish in wishes:
            self._do[type(wish)](wish)
        self._ledger.flush()

    def route(self, service: str, sinks: tuple[Sink, ...]) -> None:
        self.spools.route(service, sinks)

    def log_start(self, service: str) -> int:
        """Where, in its log, the output of a service's latest attempt begins."""
        return self._log_starts.get(service, 0)

    async def close(self) -> None:
        await self._environments.close(over=not self._here)
        await self._chores.close()
        await self._prober.close()
        self._strangers.close()
        for here in self._here.values():
            if here.end is not None:
                here.end.close()
        self._reaper.close()
        self._unwatched.close()
        for here in self._here.values():
            self._unwatch(here.running)
            if here.running.notify is not None:
                close_notify(here.running.notify)
        if not self._here:
            self._ledger.close()
        self._here.clear()
        await self.spools.close()
        await self._ports.close()

    def _tell(self, fact: Fact) -> None:
        if isinstance(fact, Probed) and fact.ok:
            self._ports.look(fact.service)
            if (here := self._here.get(fact.attempt)) is not None:
                self._ledger.ready(here.running)
        self._tell_out(fact)

    # -- starting ----------------------------------------------------------------------------------

    def _spawn(self, wish: Spawn) -> None:
        with contextlib.ExitStack() as undo:
            try:
                running = self._start(wish, undo)
            except NotStarted as why:
                fact: Fact = SpawnFailed(
                    wish.service, wish.attempt, why.stage, why.text, why.final, why.detail, why.lost
                )
            else:
                undo.pop_all()
                fact = Spawned(wish.service, wish.attempt, running.handle)
        self._tell(fact)

    def _start(self, wish: Spawn, undo: contextlib.ExitStack) -> Running:
        """Whatever was taken for a start that fails is given back by `undo`."""
        service, launch = wish.service, wish.launch
        environment = child_environment(
            launch, self._environ, run_id=self._run_id, attempt=wish.attempt, service=service
        )
        notify = None
        if launch.notify:
            name = f"{self._paths.key}-{wish.attempt}"
            notify, environment["NOTIFY_SOCKET"] = staged(
                "notify", lambda: open_notify(private_runtime_dir(), name)
            )
            undo.callback(close_notify, notify)
        output, log, log_start = staged("output", lambda: self.spools.open(service))
        said = environment.get("NOTIFY_SOCKET", "") if launch.notify else ""
        try:
            record = staged("output", lambda: self._ledger.about_to_start(wish, log, log_start, said))
            undo.callback(self._ledger.not_started, wish.attempt)
            undo.callback(self._ports.ended, launch.ports)
            listeners = self._ports.open_door(launch.ports, launch.handovers)
            handle = spawn.spawn(launch.argv, environment, launch.working_dir, output, listeners)
        finally:
            os.close(output)
        running = Running(
            service, wish.attempt, handle, launch, log, log_start, time.time(), environment, notify=notify
        )
        self._keep(running)
        self._ledger.started(running, record)
        return running

    def adopt(self, found: Found, launch: Launch) -> None:
        """Take over what another launchpad started; see `running_of`. To be told to the core as `Adopted`."""
        running = running_of(found, launch, self._paths)
        here = Here(
            running, {running.handle.pid}, done=launch.job and running.exited and found.record.code == 0
        )
        self._enter(here)
        self._trees.add(
            running.attempt,
            running.handle,
            adopted=True,
            run_id=found.record.run_id,
            known=found.members,
        )
        gone = running.exited and not found.members
        gpus = () if gone else launch.gpus
        self._ports.adopt((*launch.ports, *gpus), launch.handovers, found.claims)
        if gone:
            self._forget(running.attempt)
        elif running.pidfd is None:
            self._unwatched.watch()
        elif not running.exited:
            self._loop.add_reader(running.pidfd, self._heard.add, running.attempt)
            self._ledger.watch(running, running.pidfd)
            self._ledger.flush()

    def _enter(self, here: Here) -> None:
        running = here.running
        self._here[running.attempt] = here
        self._of.setdefault(running.service, {})[running.attempt] = here
        self._log_starts[running.service] = running.log_start

    def _keep(self, running: Running) -> None:
        self._enter(Here(running, {running.handle.pid}))
        self._trees.add(running.attempt, running.handle)
        try:
            pidfd = os.pidfd_open(running.handle.pid)
        except (AttributeError, OSError):
            self._unwatched.watch()
            return
        self._ledger.watch(running, pidfd)
        if descriptors.are_scarce(pidfd) and self._reaper.hears:  # SIGCHLD tells as well
            self._ledger.flush()
            os.close(pidfd)
            return
        running.pidfd = pidfd
        self._loop.add_reader(pidfd, self._heard.add, running.attempt)

    # -- ending ------------------------------------------------------------------------------------

    def _main_ended(self, *attempts: int) -> None:
        """These main processes may have ended; of those that have, this tells it, once. What they leave behind came to us
        before they could be waited for."""
        found = map(self._here.get, attempts)
        ends = [(here, end) for here in found if here is not None and (end := self._take_end(here))]
        left = process_children.orphans() if ends else []
        for here, end in ends:
            self._tell_end(here, end, left)

    def _take_end(self, here: Here) -> End | None:
        end = None if here.running.exited else self._end_of(here.running)
        if end is not None:
            here.running.exited = True
            self._unwatch(here.running)
        return end

    def _tell_end(self, here: Here, end: End, orphaned: Sequence[int]) -> None:
        running, attempt, code = here.running, here.running.attempt, end.code
        here.done = running.launch.job and code == 0 and not here.leaving
        self._ledger.ended(running, code)
        self._prober.cancel(attempt)
        left = len(self._members(attempt, orphaned)) or int(self._gpus.held(here.pids) != "")
        oom = code == -signal.SIGKILL and not here.killed
        note = self._oom.note(running.handle.pid) if oom else ""
        holds = [] if left or here.leaving else list(self._ports.holds_of(running.launch.ports))
        shut_out, lost = barred.shut_out(running, holds), barred.robbed_of(holds)
        if not left:
            self._forget(attempt)
        else:
            self._ports.shut_door(running.launch.ports)
        self._tell(Exited(running.service, attempt, code, left, note, shut_out, lost))
        if not left and here.end is not None:
            self._tell(TreeGone(running.service, attempt))

    def _end_of(self, running: Running) -> End | None:
        if not running.adopted:
            code = spawn.wait(running.handle.pid)
            return None if code is None else End(code)
        end = end_of(running.handle, running.pidfd)
        if end is None and running.pidfd is not None and not process.alive(running.handle):
            self._loop.remove_reader(running.pidfd)  # it has ended, and its parent does not care yet
            self._loop.call_later(process_children.UNWATCHED_S, self._main_ended, running.attempt)
        return end

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
        del self._of[running.service][attempt]
        if here.end is not None:
            here.end.close()
        self._unwatch(running)
        self._trees.drop(attempt)
        self._ports.ended(running.launch.ports)
        if running.notify is not None:
            close_notify(running.notify)
        self._ledger.gone(running, done=here.done)
        self._environments.ended()

    def _children_ended(self) -> None:
        """SIGCHLD: for main processes without a pidfd, and for trees whose orphans are being waited for."""
        self._main_ended(*(one.attempt for one in self._without_pidfd()))
        for here in self._here.values():
            if here.end is not None:
                here.end.look_soon()

    def _without_pidfd(self) -> list[Running]:
        running = (here.running for here in self._here.values())
        return [one for one in running if one.pidfd is None and not one.exited]

    def _unwatch(self, running: Running) -> None:
        if running.pidfd is not None:
            self._loop.remove_reader(running.pidfd)
            os.close(running.pidfd)
            running.pidfd = None

    # -- signals -----------------------------------------------------------------------------------

    def _signal(self, wish: Signal) -> None:
        here = self._here.get(wish.attempt)
        if here is not None:
            here.killed = here.killed or wish.signal == signal.SIGKILL
            self._ledger.signalled(here, wish)
        if wish.scope == "tree":
            self._signal_tree(wish, here)
        elif here is None or not here.running.exited:
            handle = here.running.handle if here is not None else wish.handle
            one = None if handle is None else process.living(handle)
            if one is not None:
                signal_all([one], wish.signal, None if here is None else here.running.pidfd)

    def _signal_tree(self, wish: Signal, here: Here | None) -> None:
        attempt = wish.attempt
        if here is None:
            self._strangers.signal(wish)
            return
        if here.end is None:
            here.end = TreeEnd(
                self._loop,
                lambda: self._members(attempt),
                lambda: self._tree_gone(attempt),
                lambda text: self._tell(TreeHeld(wish.service, attempt, text)),
                lambda: self._gpus.held(here.pids),
            )
        here.end.signal(wish.signal)

    # -- looking -----------------------------------------------------------------------------------

    def _probe(self, wish: Probe) -> None:
        here = self._here.get(wish.attempt)
        if here is not None and not here.running.exited:
            self._prober.probe(wish, here.running)

    def _sample(self, wish: Sample) -> None:
        here = self._here.get(wish.attempt)
        if here is None:
            return
        members = self._members(wish.attempt)
        here.cpu_s = max(here.cpu_s, sum(one.cpu_s for one in members))
        gpu_bytes = self._gpus.total(one.pid for one in members)
        written = self._written(here.running)
        self._tell(Sampled(wish.service, wish.attempt, written, here.cpu_s, gpu_bytes))

    def _written(self, running: Running) -> int:
        """A number that grows as this attempt prints: what another one prints into the same log is no sign of
        life of this one."""
        if len(self._of[running.service]) > 1:
            return written_to(running.handle.pid, running.log)
        return self.spools.size(running.service) - running.log_start

    def _members(self, attempt: int, orphaned: Sequence[int] | None = None) -> list[process.Stat]:
        members = self._trees.members(attempt, orphaned)
        if (here := self._here.get(attempt)) is not None:
            now = {one.pid for one in members}
            here.pids = now | (here.pids - now and self._gpus.users(here.pids - now))
        return members

    def _pids(self, running: Running) -> set[int]:
        return {one.pid for one in self._members(running.attempt)}

    def _main_pid(self, lease: Lease) -> int | None:
        """Of the live main process that was started with this port, if there is one."""
        for here in self._of.get(lease.service, {}).values():
            if lease in here.running.launch.ports and not here.running.exited:
                return here.running.handle.pid
        return None

    # -- ports -------------------------------------------------------------------------------------

    def holds(self, leases: Sequence[Lease]) -> bool:
        return self._ports.holds(leases)

    async def _lease(self, wish: LeasePorts) -> None:
        answer = await self._ports.lease(wish)
        if answer is not None:
            self._tell(answer)
