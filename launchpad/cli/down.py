"""`launchpad down`: the end of a stack, with or without a supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launchpad.cli.params import timeout_option
from launchpad.cli.screen import say
from launchpad.cli.target import StackCommand, locate
from launchpad.errors import ExitCode, named
from launchpad.paths import StackPaths

if TYPE_CHECKING:
    from launchpad.control.api import Snapshot
    from launchpad.control.client import Client

POLL_S = 30.0
MUTE_S = 5.0
"""How long a supervisor that lives may have no control socket."""
LOOK_S = 0.05
"""Between two looks whether the stack's lock can be had. One may wait in the kernel for a file lock, but not with a
deadline, nor for a socket as well; and that the lock's file is closed, inotify tells before the lock goes."""


@click.command("down", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK]")
@click.option("--all", "every", is_flag=True, help="Every stack of this user.")
@timeout_option("Kill what has not stopped by then.")
def command(names: tuple[str, ...], every: bool, timeout_s: float | None, given: Path | None) -> int:
    """Stop the stack, also one whose supervisor is gone. Fine when nothing runs.

    Returns when no process of it is left. Each service has its own grace period; --timeout cuts it short.
    """
    if names:
        raise click.UsageError(
            f"`down` ends a whole stack; for one service: `launchpad stop {names[0]}`",
            click.get_current_context(silent=True),
        )
    stacks = list(_all_stacks()) if every else [locate(given)]
    if not stacks:
        say("no stack of yours runs")
    return max((_end(paths, timeout_s, quiet=every) for paths in stacks), default=ExitCode.OK)


def _all_stacks() -> Iterator[StackPaths]:
    """All that have registered, also those whose supervisor is dead."""
    from launchpad.hosts.local.registry import registration_in
    from launchpad.paths import runtime_dir, stack_paths

    for path in sorted(runtime_dir().glob("*.json")):
        registration = registration_in(path)
        if registration is not None:
            yield stack_paths(registration.file)


def _end(paths: StackPaths, timeout_s: float | None, *, quiet: bool) -> int:
    """`quiet`: nothing is said about a stack of which nothing runs."""
    from launchpad.control.client import Client, NotRunning, Suspended
    from launchpad.errors import Refused

    client = Client(paths.socket)
    patient_until, woken = time.monotonic() + MUTE_S, 0
    while True:
        try:
            before = client.status()
            supervisor = _open_process(before.pid)
            client.down()
            break
        except NotRunning:
            with _locked(paths) as ours:
                if ours:
                    return _end_orphans(paths, timeout_s, quiet=quiet)
            if (elsewhere := _elsewhere(paths)) is not None and elsewhere.socket != client.socket_path:
                client = Client(elsewhere.socket)
                continue
            if time.monotonic() < patient_until:  # it is about to listen, or about to leave
                time.sleep(LOOK_S)  # for a socket or the lock, whichever comes; see there why it is no event
                continue
        except Suspended as suspended:
            if suspended.pid != woken:
                say(f"the supervisor (pid {suspended.pid}) was suspended, and is woken")
                os.kill(suspended.pid, signal.SIGCONT)
                woken = suspended.pid
                continue
        except Refused as refused:
            if refused.diagnostics[0].code != "E603":
                raise
        _kill_supervisor(paths)
        with _locked(paths, POLL_S) as ours:
            if not ours:
                say("another launchpad holds this stack; nothing was ended")
                return ExitCode.FAILED
            return _end_orphans(paths, timeout_s, quiet=quiet)
    _wait_for_end(client, before, timeout_s)
    _wait_for_exit(supervisor, before.pid)
    ended = [view.name for view in before.services if view.pid is not None]
    what = f"ended {named(ended)}" if ended else "no process of it was running"
    with _locked(paths, MUTE_S) as ours:  # otherwise somebody has started it anew
        left = _end_orphans(paths, timeout_s, quiet=True) if ours else ExitCode.OK
    say(f"`{before.stack}` is down; {what}")
    return left


def _wait_for_end(client: Client, snapshot: Snapshot, timeout_s: float | None) -> None:
    """Until nothing of the stack is alive, or its supervisor has left for that reason."""
    from launchpad.control.client import NotRunning

    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    said: set[str] = set()
    try:
        while True:
            left = POLL_S if deadline is None else min(POLL_S, deadline - time.monotonic())
            if left <= 0 and deadline is not None:
                client.down(kill=True)
                deadline, left = None, POLL_S
            snapshot = client.status(snapshot.rev, left)
            _say_what_holds(snapshot, said)
            if snapshot.phase == "finished":
                return
    except NotRunning:
        return


@contextlib.contextmanager
def _locked(paths: StackPaths, patience_s: float = 0.0) -> Iterator[bool]:
    """Hold the stack, so that nobody starts what is ended here; False where a supervisor, or what watches over its
    stack, has it and does not let go."""
    from launchpad.runtime.store import take_lock

    if not paths.state_dir.is_dir():
        yield True  # it never ran here
        return
    until = time.monotonic() + patience_s
    while (fd := take_lock(paths)) is None and time.monotonic() < until:
        time.sleep(LOOK_S)  # see there why it is no event
    try:
        yield fd is not None
    finally:
        if fd is not None:
            os.close(fd)


def _elsewhere(paths: StackPaths) -> StackPaths | None:
    """Where the supervisor that has this stack's lock thinks it is: its folder may have been moved since."""
    from launchpad.hosts.local.registry import registrations
    from launchpad.paths import stack_paths

    return next(
        (stack_paths(one.file) for one in registrations() if _has_lock(paths, one.supervisor.pid)), None
    )


def _has_lock(paths: StackPaths, pid: int) -> bool:
    try:
        lock, folder = os.stat(paths.lock), f"/proc/{pid}/fd"
        return any(os.path.samestat(lock, os.stat(f"{folder}/{number}")) for number in os.listdir(folder))
    except OSError:
        return False  # it is about to leave, or it is another user's


def _kill_supervisor(paths: StackPaths) -> None:
    """One that does not answer would start again what is ended here. Where it is not registered, it is known by the lock."""
    from launchpad.hosts.local import process
    from launchpad.hosts.local.registry import registration_in

    registration = registration_in(paths.registration)
    if registration is not None:
        found = [registration.supervisor]
    else:
        having = (pid for pid in process.pids() if pid != os.getpid() and _has_lock(paths, pid))
        found = [one for pid in having if (one := process.handle_of(pid)) is not None]
    for one in found:
        if process.alive(one):
            say(f"the supervisor (pid {one.pid}) does not answer; it is killed")
            process.send(one.pid, one.start, signal.SIGKILL)


def _open_process(pid: int) -> int | None:
    """A descriptor that becomes readable when the process has ended; None if it has already."""
    try:
        return None if pid == os.getpid() else os.pidfd_open(pid)
    except OSError:
        return None


def _wait_for_exit(supervisor: int | None, pid: int) -> None:
    """The supervisor is the last to leave; after that the stack can be started again."""
    import select

    if supervisor is None:
        return
    ended, _, _ = select.select([supervisor], [], [], POLL_S)
    os.close(supervisor)
    if not ended:
        say(f"nothing of the stack runs any more, but its supervisor (pid {pid}) is slow to leave")


def _say_what_holds(snapshot: Snapshot, said: set[str]) -> None:
    for view in snapshot.services:
        for hold in view.holds:
            line = f"`{view.name}`: {hold.text}"
            if hold.kind == "tree" and line not in said:
                said.add(line)
                say(line)


def _end_orphans(paths: StackPaths, timeout_s: float | None, *, quiet: bool) -> int:
    """What runs without a supervisor. To be called with the stack's lock."""
    if not _may_have_left(paths):
        return _nothing_runs(paths, quiet)
    from launchpad.hosts.local import keeper
    from launchpad.hosts.local.orphans import end_stack, left_of
    from launchpad.runtime.store import forget

    claims = keeper.send_away(paths)
    left = left_of(paths)
    survivors = end_stack(paths, timeout_s)
    del claims  # nobody is given their GPUs before they are gone
    forget(paths)
    if not left.all:
        return _nothing_runs(paths, quiet)
    if survivors:
        listed = ", ".join(f"`{one.service or one.command}` (pid {one.pid})" for one in survivors)
        say(f"still there: {listed}")
        return ExitCode.FAILED
    names = named(left.mains) or f"{len(left.all)} processes"
    say(f"ended what had no supervisor any more: {names}")
    return ExitCode.OK


def _nothing_runs(paths: StackPaths, quiet: bool) -> int:
    if not quiet:
        say(f"nothing of {paths.file} runs")
    return ExitCode.OK


def _may_have_left(paths: StackPaths) -> bool:
    """A supervisor that has ended in order has seen everything to its end, and leaves no record of it; then there is no
    need to look through all processes of the machine."""
    from launchpad.hosts.local import cgroup
    from launchpad.runtime.store import load

    known = paths.registration.exists() or paths.records.exists()
    return known or (paths.state.exists() and cgroup.is_there(load(paths).run_id))
