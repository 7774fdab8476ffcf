"""`up` and `run`: in the foreground, in the background, or joining a stack that already runs."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from threading import Thread
from typing import TYPE_CHECKING

from msgspec.structs import replace

from launchpad.errors import Diagnostic, ExitCode, Refused
from launchpad.hosts.local.keeper import Keeper
from launchpad.paths import StackPaths, stack_paths
from launchpad.plan.read import Reading
from launchpad.runtime import store
from launchpad.runtime.made_before import made_before_takeover
from launchpad.runtime.options import UpOptions
from launchpad.runtime.owner import Owner
from launchpad.runtime.read import read_or_kept, scaled
from launchpad.runtime.session import Session

if TYPE_CHECKING:
    from launchpad.control.api import Snapshot
    from launchpad.control.client import Client
    from launchpad.hosts.local.survey import Survey
    from launchpad.views.console import Console
    from launchpad.views.news import Feed

WARNED_AT_START = ("E123", "E125")
"""Options that fit nothing in the file, and what is allowed but probably not meant."""
CONSOLE_END_S = 3.0
OTHER_START_S = 10.0


def up(options: UpOptions, keeper: Keeper | None = None) -> int:
    """Start the stack (or apply the file to the one that runs) and follow it. Raises Refused. The keeper is best made
    before all this is imported."""
    paths = stack_paths(options.file)
    with _in_vain(keeper):
        owner = None if options.until_exit is None else Owner(options.until_exit)
        options = replace(options, scaled=scaled(paths))
        reading = _read(options, paths)
        options = replace(options, scaled=reading.scaled)  # the file may say another number by now
        if options.dry_run:
            return dry_run(options, reading, paths)
        client = _lock_or_client(paths)
        found = None if client is not None else _survey(paths, reading)
    if client is not None:
        from launchpad.runtime.join import join

        if keeper is not None:
            keeper.dismiss()
        _tell_of_owner(options)
        return join(options, client, _console(client, options))
    session = Session(options, reading, paths, found, owner, keeper)
    return _detached(session, options, paths) if options.detach else _foreground(session, options)


def run(options: UpOptions, keeper: Keeper | None = None) -> int:
    """What the job needs, then the job, then stop it all; returns the job's code. Raises Refused."""
    paths = stack_paths(options.file)
    with _in_vain(keeper):
        reading = _read(options, paths)
        if _lock_or_client(paths) is not None:
            raise Refused([_runs_already(reading, options)])
        found = _survey(paths, reading)
    return _foreground(Session(options, reading, paths, found, keeper=keeper), options)


def _runs_already(reading: Reading, options: UpOptions) -> Diagnostic:
    return Diagnostic(
        "E605",
        f"stack `{reading.name}` is running already",
        consequence=f"`{options.job}` was not started",
        hint=f"launchpad start {options.job}",
    )


@contextlib.contextmanager
def _in_vain(keeper: Keeper | None) -> Iterator[None]:
    """What is refused leaves no process, not for a moment."""
    try:
        yield
    except BaseException:
        if keeper is not None:
            keeper.dismiss()
        raise


def _read(options: UpOptions, paths: StackPaths) -> Reading:
    """The stack file and the names asked for; a refusal says what did not happen."""
    try:
        reading = read_or_kept(options, paths)
        gc.freeze()  # else the first of the spawns would be kept waiting by a search for garbage among all of it
        reading.goals(options.names)
        _warn(reading, options)
        return reading
    except Refused as refused:
        from launchpad.control.client import Client, NotRunning

        consequence = "nothing was changed, the stack runs as before"
        try:
            Client(paths.socket).status()
        except NotRunning:
            consequence = "nothing was started"
        except Refused:
            pass  # somebody is there
        *others, last = refused.diagnostics
        raise Refused([*others, replace(last, consequence=last.consequence or consequence)]) from None


def _warn(reading: Reading, options: UpOptions) -> None:
    """What is probably not meant; `launchpad check` has the rest."""
    found = [warning for warning in reading.warnings if warning.code in WARNED_AT_START]
    if found:
        from launchpad.views.diagnostics import render

        print(render(found, color=options.color).rstrip("\n"), file=sys.stderr)  # noqa: T201


def _lock_or_client(paths: StackPaths) -> Client | None:
    """Take the stack's lock (None), or reach the supervisor that has it."""
    from launchpad.control.client import Client, NotRunning

    until = time.monotonic() + OTHER_START_S
    while store.take_lock(paths) is None:
        client = Client(paths.socket)
        try:
            client.status()
            return client
        except NotRunning:
            if time.monotonic() > until:
                raise _unreachable(paths) from None
            time.sleep(0.05)  # another `up` has the lock and is about to listen; nothing tells when
    try:  # where the state folder was deleted under a supervisor, its lock went with it
        client = Client(paths.socket)
        return client if client.status().file == str(paths.file) else None
    except NotRunning:
        return None


def _tell_of_owner(options: UpOptions) -> None:
    if options.until_exit is not None:
        text = f"the stack ran before, so it does not end with process {options.until_exit}"
        print(f"launchpad: {text}", file=sys.stderr)  # noqa: T201


def _unreachable(paths: StackPaths) -> Refused:
    return Refused(
        [
            Diagnostic(
                "E607",
                "another launchpad holds this stack and does not answer",
                notes=(f"lock: {paths.lock}", f"socket: {paths.socket}"),
                consequence="nothing was started",
                hint=f"see {paths.supervisor_log}",
            )
        ]
    )


def _survey(paths: StackPaths, reading: Reading) -> Survey:
    """What a supervisor that was killed left. What needs another environment now runs on until that is there. What of it cannot be taken over must not run beside what is started
    now, and is ended."""
    from launchpad.hosts.local.survey import end_strays, survey

    made_before_takeover(paths, reading)
    found = survey(paths, store.remembered(paths).beside)
    if found.strays.all:
        from launchpad.hosts.local.tree import describe

        left = describe(found.strays.all)
        print(f"launchpad: ending what an earlier run left behind: {left}", file=sys.stderr)  # noqa: T201
        end_strays(paths, found)
    return found


# --- in the foreground ---------------------------------------------------------------------------------


def _foreground(session: Session, options: UpOptions) -> int:
    starts, threads = _log_ends(session), list[Thread]()

    def begin() -> None:
        console = _console(session, options, starts)
        session.end = lambda: console.stop(CONSOLE_END_S)
        threads.append(Thread(target=console.run, name="console", daemon=True))
        threads[0].start()

    session.begin = begin
    code = session.run()
    for thread in threads:
        thread.join(CONSOLE_END_S)
        if thread.is_alive():  # nobody reads our output: leave without waiting for that either
            os._exit(code)
    return code


def _console(feed: Feed, options: UpOptions, starts: dict[str, int] | None = None) -> Console:
    """`starts`: where in each log to begin to show it; None: where it ends now."""
    from launchpad.views.console import Console

    return Console(
        feed,
        tty=options.tty,
        color=options.color,
        out=sys.stdout,
        err=sys.stderr,
        starts=starts,
        output=not options.detach,
    )


def _log_ends(session: Session) -> dict[str, int]:
    """Before the start: what is in the logs already belongs to earlier runs."""
    from launchpad.hosts.local.spool_reader import ends

    return ends(session.paths.log(service.name) for service in session.reading.plan.services)


# --- in the background ---------------------------------------------------------------------------------


def _detached(session: Session, options: UpOptions, paths: StackPaths) -> int:
    from launchpad.runtime.detach import decided, fork_supervisor, let_interrupts_in, start_code

    sys.stdout.flush()
    sys.stderr.flush()
    starts = _log_ends(session)
    pid, feed = fork_supervisor(session, paths)
    try:
        console = _console(feed, options, starts)
        let_interrupts_in()
        console.run(until=_answers if options.resumes else decided)
        if feed.last is not None and feed.last.phase == "finished":
            os.waitpid(pid, 0)  # what is said to have ended leaves no process behind
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is up: too late to end it on the way out
    except KeyboardInterrupt:
        return _end_detached(pid)
    except EOFError:
        print(f"launchpad: the supervisor ended; see {paths.supervisor_log}", file=sys.stderr)  # noqa: T201
        return int(ExitCode.BROKEN)
    return start_code(feed.last)


def _answers(snapshot: Snapshot) -> bool:
    """Whoever only needs somebody to ask does not wait for what starts."""
    return snapshot.rev >= 0


def _end_detached(pid: int) -> int:
    """Every Ctrl-C goes on to the supervisor: it knows what the second and the third one mean."""
    signal.signal(signal.SIGINT, lambda *_: os.kill(pid, signal.SIGINT))
    os.kill(pid, signal.SIGINT)
    os.waitpid(pid, 0)
    return int(ExitCode.INTERRUPTED)


# --- dry run -------------------------------------------------------------------------------------------


def dry_run(options: UpOptions, reading: Reading, paths: StackPaths) -> int:
    """What `up` would do, and why."""
    from launchpad.control.api import Reply, to_json
    from launchpad.plan.diff import Change, lines
    from launchpad.runtime.effects import views
    from launchpad.runtime.join import compared

    reply = compared(options, paths, retry=True)
    if reply is None:
        goals = dict(reading.goals(options.names))
        names = [service.name for service in reading.plan.services]
        starts = tuple(
            Change(n, "start" if goals[n] else "add", (_why(reading, n, goals[n]),)) for n in names
        )
        reply = Reply(True, changes=lines(starts)[:-1], effects=views(starts))
    if options.as_json:
        import json

        print(json.dumps([to_json(one) for one in reply.effects], indent=2, ensure_ascii=False))  # noqa: T201
        return int(ExitCode.OK)
    for line in reply.changes:
        print(line)  # noqa: T201
    return int(ExitCode.OK)


def _why(reading: Reading, name: str, up: bool) -> str:
    needs = next(service.needs for service in reading.plan.services if service.name == name)
    if not up:
        return "not asked for"
    return "once " + ", ".join(f"{n.on} is {n.condition.value}" for n in needs) if needs else "at once"
