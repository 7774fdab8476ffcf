"""Carries out probes: asks a service once whether it is ready or alive, and says what was seen.

The core decides when to ask and what an answer means; this decides only how to ask and how to put the answer
into words. Nothing here waits on the event loop: what is known at once (a refused connection, a file) is
answered within the call, the rest in a task that ends by the probe's own timeout. Lines of output and
notifications are not asked for but waited for; their answer comes when they do.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from launchpad.core.facts import Probed
from launchpad.core.model import CheckKind, Seen
from launchpad.core.wishes import Probe
from launchpad.hosts.base import Tell
from launchpad.hosts.local import probes_exec
from launchpad.hosts.local.inotify import Watcher
from launchpad.hosts.local.probes_ask import Asker, Work
from launchpad.hosts.local.probes_log import LogWatch
from launchpad.hosts.local.probes_notify import NotifyWatch
from launchpad.hosts.local.running import Running

_LOG_DELAY_S = 0.005
KILLED_S = 1.0
"""How long the end of a program that was killed is waited for."""
_FILE_SLACK_S = 0.02
"""A file system's clock may be this far behind: it ticks with the kernel's timer."""


class Prober:
    """Asks the services of this machine. `tell` gets one `Probed` for each `probe` (for lines and
    notifications: once there is something to tell); `pids` are the live processes of a service."""

    def __init__(self, tell: Tell, pids: Callable[[Running], set[int]]) -> None:
        self._tell = tell
        self._pids = pids
        self._asker = Asker(pids, self._answer, self._begin)
        self._watcher = Watcher(_LOG_DELAY_S)
        self._tasks: dict[int, set[asyncio.Task[None]]] = {}
        self._runs: set[probes_exec.Run] = set()
        self._logs: dict[tuple[int, str], LogWatch] = {}
        self._notified: dict[int, NotifyWatch] = {}
        self._asked: dict[tuple[int, str], Probe] = {}

    def probe(self, wish: Probe, running: Running) -> None:
        """Begin; returns at once, never raises."""
        kinds: dict[CheckKind, Callable[[Probe, Running], None]] = {
            CheckKind.HTTP: self._asker.ask,
            CheckKind.TCP: self._asker.ask,
            CheckKind.EXEC: self._exec,
            CheckKind.FILE: self._file,
            CheckKind.LOG: self._log,
            CheckKind.NOTIFY: self._notify,
        }
        try:
            kinds[wish.probing.kind](wish, running)
        except Exception as error:
            self._answer(wish, False, _broken(error))

    def cancel(self, attempt: int) -> None:
        """The attempt has ended: nothing more is told of it."""
        for task in self._tasks.pop(attempt, set()):
            task.cancel()
        for key in [key for key in self._logs if key[0] == attempt]:
            self._logs.pop(key).close()
        if attempt in self._notified:
            self._notified.pop(attempt).close()
        for key in [key for key in self._asked if key[0] == attempt]:
            del self._asked[key]
        self._asker.forget(attempt)

    async def close(self) -> None:
        """End all probes; programs that run as checks are killed."""
        tasks = [task for tasks in self._tasks.values() for task in tasks]
        for attempt in {*self._tasks, *(key[0] for key in self._logs), *self._notified}:
            self.cancel(attempt)
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._runs:
            await asyncio.wait([run.ended for run in self._runs], timeout=KILLED_S)
        self._watcher.close()

    def _answer(self, wish: Probe, ok: bool, seen: Seen) -> None:
        self._tell(Probed(wish.service, wish.attempt, wish.check, wish.seq, ok, seen))

    def _begin(self, wish: Probe, work: Work) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._guard(wish, work))
        tasks = self._tasks.setdefault(wish.attempt, set())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def _guard(self, wish: Probe, work: Work) -> None:
        """An answer whatever happens."""
        try:
            await work()
        except Exception as error:
            self._answer(wish, False, _broken(error))

    # -- exec

    def _exec(self, wish: Probe, running: Running) -> None:
        self._begin(wish, lambda: self._run(wish, running))

    async def _run(self, wish: Probe, running: Running) -> None:
        argv = wish.probing.argv
        try:
            run = probes_exec.Run(argv, running.environment, running.launch.working_dir)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._answer(wish, False, Seen("error", f"`{argv[0] if argv else ''}` cannot be run: {reason}"))
            return
        self._runs.add(run)
        run.ended.add_done_callback(lambda _: self._runs.discard(run))
        try:
            async with asyncio.timeout(wish.probing.timeout_s):
                code, line = await run.wait()
        except TimeoutError:
            text = f"does not end within {wish.probing.timeout_s:g} s"
            self._answer(wish, False, Seen("exit", text, detail=run.last_line()))
            return
        finally:
            run.close()
        said = f": {line}" if line else ""
        if code is None:
            self._answer(wish, False, Seen("error", f"how it ended is not known{said}"))
        elif code == 0:
            self._answer(wish, True, Seen("ok", "exits 0", detail=line))
        else:
            how = f"exits {code}" if code > 0 else f"is killed by signal {-code}"
            self._answer(wish, False, Seen("exit", how + said))

    # -- file

    def _file(self, wish: Probe, running: Running) -> None:
        path = Path(running.launch.working_dir) / wish.probing.target
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            self._answer(wish, False, Seen("missing", f"`{path}` does not exist"))
            return
        except OSError as error:
            self._answer(wish, False, Seen("error", f"`{path}` cannot be looked at: {error.strerror}"))
            return
        changed = max(status.st_mtime, status.st_ctime)
        if changed >= running.started_at - _FILE_SLACK_S:
            self._answer(wish, True, Seen("ok", f"`{path}` exists"))
            return
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(changed))
        text = f"`{path}` is left from before this start (changed {stamp})"
        self._answer(wish, False, Seen("missing", text))

    # -- log, notify

    def _log(self, wish: Probe, running: Running) -> None:
        key, pattern = (wish.attempt, wish.check), wish.probing.target
        if running.log == Path(os.devnull):
            text = "its output goes to `null`, so no line of it can be seen"
            self._answer(wish, False, Seen("error", text, final=True))
            return
        self._asked[key] = wish
        watch = self._logs.get(key)
        if watch is None or watch.pattern != pattern:
            if watch is not None:
                self._logs.pop(key).close()
            try:
                watch = LogWatch(running, pattern, self._watcher, lambda: self._printed(key))
            except re.error as error:
                del self._asked[key]
                text = f"the pattern `{pattern}` is not a regular expression: {error.msg}"
                self._answer(wish, False, Seen("error", text, final=True))
                return
            self._logs[key] = watch
        self._printed(key)

    def _printed(self, key: tuple[int, str]) -> None:
        watch = self._logs.get(key)
        if watch is not None and watch.line is not None:
            self._answer_event(key, True, Seen("ok", f'printed "{watch.line}"'))

    def _notify(self, wish: Probe, running: Running) -> None:
        key = (wish.attempt, wish.check)
        if running.notify is None:
            text = "has no socket to notify: it was not started by this supervisor"
            self._answer(wish, False, Seen("error", text))
            return
        self._asked[key] = wish
        watch = self._notified.get(wish.attempt)
        if watch is None:
            watch = NotifyWatch(
                running, self._pids, lambda ok, seen: self._notification(wish.attempt, ok, seen)
            )
            self._notified[wish.attempt] = watch
        if watch.ready is not None:
            self._answer_event(key, True, watch.ready)

    def _notification(self, attempt: int, ok: bool, seen: Seen) -> None:
        for key in [key for key in self._asked if key[0] == attempt]:
            if self._asked[key].probing.kind is CheckKind.NOTIFY:
                self._answer_event(key, ok, seen)

    def _answer_event(self, key: tuple[int, str], ok: bool, seen: Seen) -> None:
        """To the latest question, if it has no answer yet."""
        wish = self._asked.pop(key, None)
        if wish is not None:
            self._answer(wish, ok, seen)


def _broken(error: Exception) -> Seen:
    return Seen("error", "launchpad could not carry out the probe", detail=f"{type(error).__name__}: {error}")
