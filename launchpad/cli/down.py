"""`launchpad down`: the end of a stack, with or without a supervisor."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launchpad.cli.params import timeout_option
from launchpad.cli.screen import say
from launchpad.cli.target import StackCommand, locate
from launchpad.errors import ExitCode
from launchpad.paths import StackPaths

if TYPE_CHECKING:
    from launchpad.control.api import Snapshot
    from launchpad.control.client import Client

POLL_S = 30.0
MUTE_S = 5.0
"""How long a supervisor that lives may have no control socket."""
LOOK_S = 0.05


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
    from launchpad.control.client import Client, NotRunning
    from launchpad.errors import Refused

    client = Client(paths.socket)
    patient_until = time.monotonic() + MUTE_S
    while True:
        try:
            before = client.status()
            supervisor = _open_process(before.pid)
            client.down()
            break
        except NotRunning:
            held = _is_held(paths)
            if (
                held
                and (elsewhere := _elsewhere(paths)) is not None
                and elsewhere.socket != client.socket_path
            ):
                client = Client(elsewhere.socket)
                continue
            if held and time.monotonic() < patient_until:  # it is about to listen, or about to leave
                time.sleep(LOOK_S)  # neither a file lock nor a socket that is yet to come sends an event
                continue
        except Refused as refused:
            if refused.diagnostics[0].code != "E603":
                raise
            held = True
        if held:
            _kill_supervisor(paths)
        return _end_orphans(paths, timeout_s, quiet=quiet)
    _wait_for_end(client, before, timeout_s)
    _wait_for_exit(supervisor, before.pid)
    ended = [view.name for view in before.services if view.pid is not None]
    what = "ended " + ", ".join(f"`{name}`" for name in ended) if ended else "no process of it was running"
    left = _end_orphans(paths, timeout_s, quiet=True)
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


def _is_held(paths: StackPaths) -> bool:
    """Whether a supervisor, or what guards its stack, lives, whatever it answers."""
    import fcntl

    try:
        fd = os.open(paths.lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _elsewhere(paths: StackPaths) -> StackPaths | None:
    """Where the supervisor that has this stack's lock thinks it is: its folder may have been moved since."""
    from launchpad.hosts.local.registry import registrations
    from launchpad.paths import stack_paths

    try:
        lock = os.stat(paths.lock)
        for one in registrations():
            folder = f"/proc/{one.supervisor.pid}/fd"
            if any(os.path.samestat(lock, os.stat(f"{folder}/{number}")) for number in os.listdir(folder)):
                return stack_paths(one.file)
    except OSError:
        pass  # it is about to leave
    return None


def _kill_supervisor(paths: StackPaths) -> None:
    """One that does not answer would start again what is ended here."""
    import signal

    from launchpad.hosts.local import process
    from launchpad.hosts.local.registry import registration_in

    registration = registration_in(paths.registration)
    if registration is not None and process.alive(registration.supervisor):
        one = registration.supervisor
        say(f"the supervisor (pid {one.pid}) does not answer; it is killed")
        process.send(one.pid, one.start, signal.SIGKILL)
    deadline = time.monotonic() + POLL_S
    while _is_held(paths) and time.monotonic() < deadline:
        time.sleep(LOOK_S)  # a file lock sends no event


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
    """What runs without a supervisor, by the records it left."""
    import asyncio

    from launchpad.hosts.local.records import end_stack, read_records
    from launchpad.hosts.local.registry import left_alone, registration_in

    records, registration = read_records(paths), registration_in(paths.registration)
    if not records and (registration is None or not left_alone(registration)):
        if not quiet:
            say(f"nothing of {paths.file} runs")
        return ExitCode.OK
    asyncio.run(end_stack(paths, timeout_s))
    names = ", ".join(f"`{name}`" for name in dict.fromkeys(record.service for record in records))
    left = read_records(paths)
    if left:
        say(f"still there: {', '.join(f'`{record.service}`' for record in left)}")
        return ExitCode.FAILED
    say(f"ended what had no supervisor any more: {names or 'there are no records of it'}")
    return ExitCode.OK
