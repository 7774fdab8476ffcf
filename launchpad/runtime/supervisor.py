"""One running stack: puts plan, core, host, journal and control together, and serves what people ask.

Decides nothing about services (the core does) and nothing about how things are shown (views do).
"""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from collections.abc import Callable

from msgspec.structs import replace

from launchpad.control.api import Event, Reply, ServiceView, Snapshot
from launchpad.core.engine import Engine
from launchpad.core.environments import needed_folders
from launchpad.core.facts import (
    CloseAsked,
    Fact,
    GoalsSet,
    KillAsked,
    PlanApplied,
    PortsRefused,
    Refusal,
    RestartAsked,
)
from launchpad.core.model import Phase
from launchpad.core.state import Unit
from launchpad.core.verdict import Verdict
from launchpad.core.wishes import Note
from launchpad.errors import Diagnostic, Label
from launchpad.hosts.local.gpu import GpuMemory
from launchpad.hosts.local.gpu_memory import holders
from launchpad.hosts.local.host import LocalHost
from launchpad.hosts.local.keeper import Keeper
from launchpad.hosts.local.survey import Survey
from launchpad.paths import StackPaths
from launchpad.plan.read import Reading
from launchpad.runtime import store, takeover
from launchpad.runtime.journal import Journal
from launchpad.runtime.loop import Driver
from launchpad.runtime.notices import Notices
from launchpad.runtime.picture import service_views
from launchpad.runtime.problems import not_up, output_problems, problem
from launchpad.runtime.traps import Traps
from launchpad.runtime.veil import Veil

TAIL_LINES = 6


class Supervisor:
    """`reading` is the stack as it runs, `stored` what `store.begin` gave. Made in a running event loop; use: `start()`, then await
    `finished`, then `await close()`. `after_start` is called once, when the first process runs."""

    def __init__(
        self,
        paths: StackPaths,
        reading: Reading,
        stored: store.Stored,
        names: tuple[str, ...] = (),
        *,
        timeout_s: float | None = None,
        after_start: Callable[[], None] | None = None,
        found: Survey | None = None,
        keeper: Keeper | None = None,
        alone: bool = False,
        resumes: bool = False,
    ) -> None:
        self.paths, self.reading, self.names = paths, reading, names
        self.rev = 0
        self.started_at = time.time()
        self._loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[int] = self._loop.create_future()
        self._changed = asyncio.Event()
        self.started = asyncio.Event()
        """Whatever comes first: it is up, or there is nothing more to wait for."""
        self._timeout_s, self._after_start = timeout_s, after_start
        self.asked = store.Asked()
        self._verdict = Verdict("starting", None, (), ())
        self._refusals: dict[str, Refusal] = {}
        self._told: dict[str, Diagnostic] = {}
        self._gpus, self._traps = GpuMemory(), Traps(self._tail, self._holders)
        self._extra: tuple[Diagnostic, ...] = ()
        self.picture_s = 0.0
        """The processor time that the last picture took: no disk that hangs, and nobody who stops us, makes it long."""
        self.on_adopted: Callable[[], None] = lambda: None
        self.ends_with: int | None = None
        self._veil = Veil()
        self._journal = Journal(paths.journal)
        self.notices = Notices(self._journal.write, self._ring)
        self._found, self._alone, self._resumes = found or Survey(), alone, resumes
        self._stored = stored
        self._before = self._stored.memory
        self.watched: dict[str, str] = dict(self._before.watched) if self._before else {}
        """How the files stand that services watch, as far as somebody has looked."""
        self.driver = Driver(Engine(self._stored.epoch, self._stored.ports), self._on_notes, self._on_fault)
        self.run_id = self._stored.run_id
        self._host = LocalHost(
            self._tell,
            paths,
            reading.name,
            run_id=self.run_id,
            trouble=self._on_trouble,
            fault=self._on_fault,
            keeper=keeper,
            needed=lambda: needed_folders(self.engine.state),
        )
        self.driver.attach(self._host)
        self.guard: Callable[[Reading], None] = lambda reading: None
        """Told what the stack is from now on: what becomes of it should this supervisor die."""

    def start(self) -> None:
        """Apply the plan; processes without needs have been started when this returns."""
        self._route()
        before = self._before
        goals = takeover.goals(self.reading, self.names, before, alone=self._alone, resumes=self._resumes)
        held = takeover.held_fact(takeover.held(self.reading, self.names, before))
        self.driver.step(PlanApplied(self.reading.plan, goals), *held, *self._take_over())
        if self._timeout_s is not None:
            self._loop.call_later(self._timeout_s, self._too_late, self._timeout_s)

    def _take_over(self) -> list[Fact]:
        """What an earlier supervisor left is this one's from now on."""
        services = {service.name: service for service in self.reading.plan.services}
        found, now = self._found.found, time.time()
        told = takeover.facts(found, services, self._before, now)
        if found:
            self.notices.announce("taken over from a supervisor that died", takeover.words(found, now))
        elif self._found.rebooted:
            self.notices.announce("the machine was started anew since this stack ran: nothing of it is left")
        for one in found:
            self._host.adopt(one, takeover.launch_of(one, services.get(one.record.service)))
        self._found = Survey()
        return told

    @property
    def engine(self) -> Engine:
        return self.driver.engine

    def _route(self) -> None:
        self._veil.add(self.reading.secrets)
        for service in self.reading.plan.services:
            self._host.route(service.name, service.output)

    def _tell(self, fact: Fact) -> None:
        fact = self._veil.fact(fact)
        if isinstance(fact, PortsRefused):
            self._refusals = {refusal.service: refusal for refusal in fact.refusals}
        self.driver.tell(fact)

    # --- what happened -----------------------------------------------------------------------------

    def _on_notes(self, notes: list[Note]) -> None:
        shift = time.time() - self._loop.time()
        events = [Event(n.at + shift, n.service, n.what, n.text, n.phase, n.attempt) for n in notes]
        touched = {note.service for note in notes if note.what in ("phase", "probe", "replacement")}
        self._journal.write([*events, *self._new_problems(touched)])
        self._verdict = self.engine.verdict()
        if self._verdict.phase != "starting":
            self.started.set()
        self._ring()
        self._remember()
        if self._after_start is not None and any(n.phase == Phase.STARTING for n in notes):
            self._loop.call_soon(self._after_start)
            self._after_start = None
        if self._verdict.phase == "finished" and not self.finished.done():
            self.finished.set_result(self._verdict.code or 0)

    def _remember(self) -> None:
        """Should this supervisor die, the next one goes on from here."""
        ports = tuple(self.engine.state.known_ports.values())
        now, wall = self._loop.time(), time.time()
        memory = takeover.remember(self.engine, now, wall, self.asked, self.reading, self.watched)
        stored = replace(self._stored, ports=ports, memory=memory)
        if stored != self._stored:
            self._save(stored)

    def asked_with(self, asked: store.Asked) -> None:
        """Somebody else asked for the stack to be read otherwise: the next supervisor reads it so, too."""
        self.asked = asked
        self._remember()

    def _save(self, stored: store.Stored) -> None:
        self._stored = stored
        try:
            store.save(self.paths.state, stored)
        except OSError:
            pass  # the next start takes other ports

    def _new_problems(self, touched: set[str]) -> list[Event]:
        """A problem is told once, when it comes up; told again when it comes up again."""
        events = []
        for name in touched:
            unit = self.engine.units.get(name)
            now = self._problem(unit) if unit else None
            if now is None:
                self._told.pop(name, None)
            elif self._told.get(name) != now:
                self._told[name] = now
                text = f"{now.code}: {now.message}"
                events.append(Event(time.time(), name, "problem", text, diagnostic=now))
        return events

    def _on_fault(self, error: BaseException) -> None:
        with open(self.paths.supervisor_log, "a") as log:
            traceback.print_exception(error, file=log)
        if not self.finished.done():
            self.finished.set_exception(error)

    def _on_trouble(self, service: str, text: str) -> None:
        """A sink that cannot be written, or can again. The run's log has the output all the same."""
        self._journal.write([Event(time.time(), service, "output", text)])
        self._ring()

    def _ring(self) -> None:
        """There is a newer picture."""
        self.rev += 1
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether it can still become something else."""
        return self.engine.state.closing is None and not self.finished.done()

    def watches(self, marks: dict[str, str]) -> None:
        """So it stands now, and what was changed is told."""
        if marks != self.watched:
            self.watched = marks
            self._remember()

    def watched_changed(self, files: dict[str, str]) -> None:
        """Service → what of the files that it watches, in words."""
        now = time.time()
        self._journal.write([Event(now, name, "files", text) for name, text in files.items()])

    def _too_late(self, timeout_s: float) -> None:
        if self._verdict.phase == "starting":
            self._extra = (not_up(self.engine, timeout_s, self._loop.time()),)
            self.driver.step(CloseAsked(1))

    # --- what people see ---------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        began = time.thread_time()
        picture = self._snapshot()
        self.picture_s = time.thread_time() - began
        return picture

    def _snapshot(self) -> Snapshot:
        now, wall = self._loop.time(), time.time()
        units = self.engine.units.values()
        found = [self._problem(unit) for unit in units if not unit.removed]
        return Snapshot(
            rev=self.rev,
            stack=self.reading.name,
            file=str(self.paths.file),
            pid=os.getpid(),
            started_at=self.started_at,
            phase=self._verdict.phase,
            code=self._verdict.code,
            failed=self._verdict.failed,
            services=service_views(self.engine, self.paths, now, wall),
            diagnostics=(
                *filter(None, found),
                *self._output_problems(),
                *self.notices.unapplied,
                *self._extra,
            ),
            stale=self.notices.stale,
            notices=self.notices.last,
            ends_with=self.ends_with,
            groups=dict(self.reading.groups),
            scaled={o.name: (o.count, o.instead_of or 0) for o in self.reading.scaled},
        )

    def _output_problems(self) -> list[Diagnostic]:
        spools = self._host.spools
        sinks = [sink for service in self.reading.plan.services for sink in spools.sinks(service.name)]
        return output_problems(sinks, spools.no_room)

    async def status(self, after: int | None = None, timeout_s: float = 0.0) -> Snapshot:
        """The picture now; with `after`, one that is newer, or after `timeout_s` the same one. Who waits for news gets them
        so much later as the last picture took of the processor: what is under way goes first, and has half of the time."""
        if after is not None and self.rev <= after and self._verdict.phase != "finished":
            try:
                await asyncio.wait_for(self._changed.wait(), timeout_s)
            except TimeoutError:
                pass
            else:
                await asyncio.wait([self.finished], timeout=self.picture_s)
        return self.snapshot()

    def _place(self, service: str, *path: str, text: str = "") -> Label | None:
        return self.reading.label(service, *path, text=text)

    def _problem(self, unit: Unit) -> Diagnostic | None:
        """What is wrong with it, and what its recipe knows of that."""
        found = problem(self.engine, unit, self._place, self._tail, self._refusals)
        return self._traps.explained(unit, self.reading.program, found, self._place)

    def _holders(self) -> tuple[str, ...]:
        """Who has memory of the GPUs now."""
        return holders(self._gpus.by_pid(), self.run_id)

    def _tail(self, service: str, count: int = TAIL_LINES) -> tuple[str, ...]:
        """The last lines that its current or last attempt printed."""
        from launchpad.hosts.local.spool import SpoolReader

        try:
            reader = SpoolReader(self.paths.log(service))
            start = max(reader.tail_offset(count), self._host.log_start(service))
            data, _ = reader.read_from(start, 16384 * (1 + count // 20))
        except OSError:
            return ()
        lines = data.decode(errors="replace").splitlines()
        return tuple(self._veil.text(line.rstrip()[:500]) for line in lines if line.strip())[-count:]

    # --- what people ask ---------------------------------------------------------------------------

    def ask_start(self, names: tuple[str, ...]) -> Reply:
        """Start these and what they need; a job that is done runs once more."""
        goals = tuple((name, up) for name, up in self.reading.goals(names) if up)
        self.driver.step(GoalsSet(goals, rerun=names))
        return Reply(True)

    def ask_stop(self, names: tuple[str, ...]) -> Reply:
        self.reading.goals(names)  # refuses unknown names
        self.driver.step(GoalsSet(tuple((name, False) for name in names)))
        return Reply(True)

    def ask_restart(self, names: tuple[str, ...]) -> Reply:
        goals = tuple((name, up) for name, up in self.reading.goals(names) if up and name not in names)
        self.driver.step(GoalsSet(goals), RestartAsked(names))
        return Reply(True)

    def ask_down(self, kill: bool, code: int = 0) -> Reply:
        self.driver.step(CloseAsked(code))
        if kill:
            self.driver.step(KillAsked())
        return Reply(True)

    def adopt_reading(self, reading: Reading, names: tuple[str, ...]) -> None:
        """From now on the stack is this (see `apply.apply`, which makes sure that it can be)."""
        self.reading, self.names = reading, names
        self.guard(reading)
        self._remember()
        self._route()
        self.on_adopted()

    def live_views(self) -> tuple[ServiceView, ...]:
        return tuple(view for view in self.snapshot().services if view.pid is not None)

    async def close(self) -> None:
        """Write down what the next supervisor wants to know, and let go."""
        self._remember()
        if self._verdict.phase == "finished":
            self._save(replace(self._stored, memory=None))
        self.driver.close()
        await self._host.close()
        self._journal.close()
