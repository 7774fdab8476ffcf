"""The output of services: each writes its own log, and whoever wants to see it reads that.

A service's stdout and stderr are the file `logs/NAME.log` itself, opened for appending: there is no pipe, so
nothing of launchpad can hold a service up. Decides when sinks are told that there is more and when a log that
has grown too large is cut; what a sink does is `sinks`, how a log is cut is `spool_cut`, how it is read
`spool_reader`.

A service whose only sink is `null` writes to /dev/null: nothing is kept, so there is no log to show, and
readiness by a `log` pattern cannot come about.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from launchpad.core.model import Sink
from launchpad.hosts.local import spool_cut
from launchpad.hosts.local.inotify import Watcher
from launchpad.hosts.local.sinks import Problem, SinkRunner, SinkStatus, make_sink_state
from launchpad.hosts.local.sinks_file import FileTarget
from launchpad.hosts.local.sinks_pool import Pool
from launchpad.hosts.local.spool_reader import SpoolReader, mark
from launchpad.hosts.local.spool_room import Room
from launchpad.paths import StackPaths

__all__ = ["SinkStatus", "SpoolReader", "Spools"]

_EVENT_DELAY_S = 0.02
_FLUSH_S = 2.0
_CUT_AGAIN_S = 60.0
_CALM_S = 60.0
"""So long after the last cut the hole that it left is taken off."""
NOWHERE = Path(os.devnull)


class Spools:
    """All logs of one stack. Methods belong to the event loop's thread; none of them waits for a sink.

    `problem` is told (service, text) when a sink cannot be written, and again when it can. `limit` is how
    many bytes of output are kept per service, at least."""

    def __init__(
        self,
        paths: StackPaths,
        problem: Problem | None = None,
        *,
        limit: int = spool_cut.DEFAULT_LIMIT,
        calm_s: float = _CALM_S,
    ) -> None:
        self._paths = paths
        self._problem: Problem = problem or (lambda service, text: None)
        self._limit = limit
        self._calm_s = calm_s
        self._pool = Pool()
        self._watcher = Watcher(_EVENT_DELAY_S)
        self._room: Room | None = None
        self._unwatch: Callable[[], None] | None = None
        self._readers: dict[str, SpoolReader] = {}
        self._silent: set[str] = set()
        self._routed: dict[str, tuple[Sink, ...]] = {}
        """What was asked for last, and done: most services stay as they are over an edit."""
        self._sinks: dict[str, dict[tuple[str, str], SinkRunner]] = {}
        self._leaving: list[SinkRunner] = []
        self._placed: dict[str, set[str]] | None = None
        self._targets: dict[Path, FileTarget] = {}
        self._cutting: set[str] = set()
        self._cut_not_before: dict[str, float] = {}
        self._settling: dict[str, asyncio.TimerHandle] = {}

    def open(self, service: str) -> tuple[int, Path, int]:
        """(descriptor for the service's stdout and stderr, the log's path, the offset at which its output
        will begin). The descriptor is close-on-exec and the caller's to close. Raises OSError; a log that
        is a link or no ordinary file is refused."""
        if service in self._silent:
            return os.open(NOWHERE, os.O_WRONLY | os.O_CLOEXEC), NOWHERE, 0
        reader = self._reader(service)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(reader.path, flags, 0o600)
        except FileNotFoundError:  # somebody has deleted the folder
            self._make_folders()
            descriptor = os.open(reader.path, flags, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(f"{reader.path} is not an ordinary file")
            os.set_blocking(descriptor, True)
            end = reader.end()
            if end and reader.read_from(end - 1, 1)[0] != b"\n":
                os.write(descriptor, b"\n")
                end += 1
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, reader.path, end

    def size(self, service: str) -> int:
        """Bytes it has ever printed (as far as the log was not emptied by hand); 0 if nothing is kept."""
        return 0 if service in self._silent else self._reader(service).end()

    def route(self, service: str, sinks: tuple[Sink, ...]) -> None:
        """Copy the output to these sinks from now on. One that goes gets what was printed so far, one that
        is new begins here, and one that a supervisor before this one had goes on where it was. Whether
        output is kept at all (see above) changes with the next `open`. Never raises."""
        if self._routed.get(service) == sinks and service in self._readers:
            return
        self._routed.pop(service, None)
        try:
            self._route(service, sinks)
            self._routed[service] = sinks
        except OSError as error:
            self._problem(service, f"its output cannot be sent anywhere: {error.strerror or error}")

    def _route(self, service: str, sinks: tuple[Sink, ...]) -> None:
        self._silent.discard(service)
        if sinks and all(sink.kind == "null" for sink in sinks):
            self._silent.add(service)
        reader = self._reader(service)
        wanted = {(sink.kind, sink.path): sink for sink in sinks if sink.kind in ("file", "jsonl")}
        runners = self._sinks.setdefault(service, {})
        if not wanted and not runners:
            self._forget_places(service, ())
            return
        end = reader.end()
        for key in [key for key in runners if key not in wanted]:
            leaving = runners.pop(key)
            self._leaving.append(leaving)
            leaving.finish(end)
        self._forget_places(service, wanted.values())
        for key, sink in wanted.items():
            if key in runners:
                runners[key].target.rotate, runners[key].target.keep = sink.rotate, sink.keep
            else:
                runners[key] = self._stay(service, sink) or self._start(service, sink, reader, end)

    def sinks(self, service: str) -> list[SinkStatus]:
        """Where each of its sinks stands."""
        return [runner.status() for runner in self._sinks.get(service, {}).values()]

    def reader(self, service: str) -> SpoolReader:
        """To read its output."""
        return self._reader(service)

    async def close(self) -> None:
        """Let the sinks copy what is there, for two seconds at most, and save their places."""
        runners = [runner for sinks in self._sinks.values() for runner in sinks.values()] + self._leaving
        for runner in runners:
            runner.close()
        try:
            async with asyncio.timeout(_FLUSH_S):
                for runner in runners:
                    await runner.idle.wait()
        except TimeoutError:
            pass
        for runner in runners:
            runner.abandon()
        for timer in self._settling.values():
            timer.cancel()
        self._sinks.clear()
        self._leaving.clear()
        if self._room is not None:
            self._room.close()
        self._watcher.close()

    def _reader(self, service: str) -> SpoolReader:
        """At first sight of a service: make the folder, end what a crash interrupted, begin to watch."""
        reader = self._readers.get(service)
        if reader is None:
            if self._unwatch is None:
                self._make_folders()
            reader = self._readers[service] = SpoolReader(self._paths.log(service))
            spool_cut.recover(reader.path)
            if mark(reader.path).hole:
                self._settle_later(service, 0.0)
        return reader

    def _make_folders(self) -> None:
        self._paths.logs_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._places.mkdir(mode=0o700, exist_ok=True)
        if self._unwatch is not None:
            self._unwatch()
        self._unwatch = self._watcher.watch(self._paths.logs_dir, self._changed)
        self._room = self._room or Room(
            self._paths.logs_dir, self._pool, lambda text: self._problem("", text)
        )

    @property
    def no_room(self) -> str:
        """Why output is lost at the moment; "" while it is kept."""
        return self._room.problem if self._room is not None else ""

    @property
    def _places(self) -> Path:
        return self._paths.state_dir / "sinks"

    def _start(self, service: str, sink: Sink, reader: SpoolReader, first: int) -> SinkRunner:
        path = self._paths.file.parent / sink.path
        target = self._targets.get(path)
        if target is None:
            target = FileTarget(path, sink.rotate, sink.keep, whole_lines=sink.kind == "jsonl")
            self._targets[path] = target
        target.users += 1
        place = make_sink_state(self._places, service, sink)
        self._placed_by(service).add(place.name)
        runner = SinkRunner(service, sink, reader, place, target, self._pool)
        runner.tell, runner.ended, runner.kept = self._problem, self._ended, self._limit
        runner.start(first)
        return runner

    def _stay(self, service: str, sink: Sink) -> SinkRunner | None:
        """A sink that was about to leave and is wanted again."""
        for runner in self._leaving:
            if (runner.service, runner.sink.kind, runner.sink.path) == (service, sink.kind, sink.path):
                self._leaving.remove(runner)
                runner.stop_at = None
                runner.target.rotate, runner.target.keep = sink.rotate, sink.keep
                runner.kick()
                return runner
        return None

    def _ended(self, runner: SinkRunner) -> None:
        if runner in self._leaving:
            self._leaving.remove(runner)
            runner.target.users -= 1
            if not runner.target.users:
                self._targets.pop(runner.target.path, None)

    def _forget_places(self, service: str, wanted: Iterable[Sink]) -> None:
        """Places of sinks that the stack no longer names, some of them left by an earlier supervisor."""
        placed = self._placed_by(service)
        if not placed:
            return
        keep = {make_sink_state(self._places, service, sink).name for sink in wanted}
        keep |= {make_sink_state(self._places, service, runner.sink).name for runner in self._leaving}
        for name in placed - keep:
            (self._places / name).unlink(missing_ok=True)
            placed.discard(name)

    def _placed_by(self, service: str) -> set[str]:
        """The places of its sinks. The folder, which has those of all services, is looked at once."""
        if self._placed is None:
            self._placed = {}
            with contextlib.suppress(FileNotFoundError):
                for name in os.listdir(self._places):
                    if name.endswith(".json"):
                        self._placed.setdefault(name.partition(".")[0], set()).add(name)
        return self._placed.setdefault(service, set())

    def _changed(self, name: str) -> None:
        for service in [name.removesuffix(".log")] if name else list(self._readers):
            for runner in self._sinks.get(service, {}).values():
                runner.kick()
            if service in self._readers:
                self._cut_if_due(service)

    # --- what is no longer kept ----------------------------------------------------------------------

    def _cut_if_due(self, service: str) -> None:
        log = self._readers[service].path
        now = asyncio.get_running_loop().time()
        if service in self._cutting or now < self._cut_not_before.get(service, 0.0):
            return
        if spool_cut.is_due(log, self._limit):
            self._change(service, lambda: spool_cut.cut(log, self._limit), self._was_cut)

    def _settle_later(self, service: str, wait_s: float) -> None:
        if (timer := self._settling.pop(service, None)) is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._settling[service] = loop.call_later(wait_s, self._settle, service)

    def _settle(self, service: str) -> None:
        if service in self._cutting:
            return  # it is about to be asked for again
        log = self._readers[service].path
        self._change(service, lambda: spool_cut.settle(log), lambda service, trouble: None)

    def _change(self, service: str, make: Callable[[], bool], made: Callable[[str, str], None]) -> None:
        """In a thread; `made` is told of the service and what was wrong, if anything."""
        loop = asyncio.get_running_loop()
        self._cutting.add(service)

        def told(trouble: str) -> None:
            self._cutting.discard(service)
            made(service, trouble)
            self._cut_if_due(service)

        def work() -> None:
            trouble = ""
            try:
                if not make():
                    trouble = "its file system cannot free the beginning of a file"
            except OSError as error:
                trouble = error.strerror or str(error)
            try:
                loop.call_soon_threadsafe(told, trouble)
            except RuntimeError:
                pass  # the loop has ended

        self._pool.submit(work)

    def _was_cut(self, service: str, trouble: str) -> None:
        if not trouble:
            self._cut_not_before.pop(service, None)
            self._settle_later(service, self._calm_s)
            return
        if service not in self._cut_not_before:
            self._problem(service, f"its log cannot be kept below its limit: {trouble}")
        self._cut_not_before[service] = asyncio.get_running_loop().time() + _CUT_AGAIN_S
