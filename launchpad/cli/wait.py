"""`launchpad wait`: until jobs are done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launchpad.cli.params import timeout_option
from launchpad.cli.screen import say
from launchpad.cli.target import StackCommand, check_names, each, locate, not_running, read
from launchpad.errors import Diagnostic, ExitCode, Refused
from launchpad.paths import StackPaths

if TYPE_CHECKING:
    from launchpad.control.api import Snapshot
    from launchpad.plan.read import Reading


@click.command("wait", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] [JOB]...")
@timeout_option("Wait no longer than this; exit 1 when it is over.")
def command(names: tuple[str, ...], timeout_s: float | None, given: Path | None) -> int:
    """Return when those jobs, or all, are done; exit 1 when one failed.

    Of a stack that has ended, its last run counts.
    """
    from launchpad.cli import settle
    from launchpad.cli.attend import attended
    from launchpad.control.client import NotRunning
    from launchpad.views.words import duration

    paths = locate(given)
    client = attended(paths)
    jobs: tuple[str, ...] = names
    try:
        jobs = _jobs(client.status(), names)
        return _tell(jobs, settle.settle(client, jobs, settle.is_done, timeout_s))
    except settle.TimeIsUp as late:
        say(f"not done after {duration(timeout_s or 0)}: {late}")
        return ExitCode.FAILED
    except NotRunning:
        return _from_last_run(paths, jobs)


def _jobs(snapshot: Snapshot, names: tuple[str, ...]) -> tuple[str, ...]:
    """The jobs that are meant: those named, else all that are wanted."""
    names = each(names, snapshot.groups)
    check_names(names, [view.name for view in snapshot.services], snapshot.stack)
    kinds = {view.name: view.kind for view in snapshot.services}
    _refuse_servers([name for name in names if kinds[name] != "job"])
    wanted = [view.name for view in snapshot.services if view.kind == "job" and view.goal == "up"]
    if not names and not wanted:
        say(f"`{snapshot.stack}` has no job that is to run")
    return names or tuple(wanted)


def _refuse_servers(servers: list[str]) -> None:
    if servers:
        raise Refused(
            Diagnostic(
                "E611",
                f"`{name}` is a server; it is never done",
                consequence="nothing was waited for",
                hint=f"`launchpad url {name}` says whether it is ready",
            )
            for name in servers
        )


def _tell(jobs: tuple[str, ...], bad: dict[str, str]) -> int:
    for name in jobs:
        if name in bad:
            say(f"`{name}` is not done: {bad[name]}")
    return ExitCode.FAILED if bad else ExitCode.OK


def _from_last_run(paths: StackPaths, names: tuple[str, ...]) -> int:
    """No supervisor answers: how each job ended last is in the journal."""
    from launchpad.cli.journal import last_phases

    phases = last_phases(paths)
    if not phases:
        say(not_running(paths))
        return ExitCode.FAILED
    reading = read(paths)
    kinds = {service.name: service.kind.value for service in reading.plan.services}
    names = each(names, reading.groups)
    check_names(names, list(kinds), paths.file.parent.name)
    _refuse_servers([name for name in names if kinds[name] != "job"])
    jobs = names or _meant(paths, reading, kinds)
    ended = {name: phases.get(name, ("idle", "it was not started")) for name in jobs}
    ended.update(_unsupervised(paths, jobs))
    return _tell(jobs, {name: text or phase for name, (phase, text) in ended.items() if phase != "done"})


def _unsupervised(paths: StackPaths, jobs: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """What records know better than the journal: jobs that went on when their supervisor had died."""
    from launchpad.hosts.local import process
    from launchpad.hosts.local.process_end import End
    from launchpad.hosts.local.records import read_records

    known = {}
    for record in read_records(paths):
        if record.service not in jobs or record.handle is None:
            continue
        if record.ended:
            phase = "done" if record.code == 0 else "failed"
            known[record.service] = (phase, f"it ended: {End(record.code).text}")
        elif process.alive(record.handle):
            text = f"it runs on without a supervisor (pid {record.handle.pid}); `launchpad up` takes it over"
            known[record.service] = ("lost", text)
    return known


def _meant(paths: StackPaths, reading: Reading, kinds: dict[str, str]) -> tuple[str, ...]:
    """The jobs that were to run last time; where that is not known, those that a plain `up` runs."""
    from launchpad.cli.journal import last_wanted

    wanted = last_wanted(paths)
    meant = [name for name, up in reading.goals() if (name in wanted if wanted else up)]
    return tuple(name for name in meant if kinds[name] == "job")
