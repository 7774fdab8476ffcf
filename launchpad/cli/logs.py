"""`launchpad logs`: output of services, read from disk, whether the stack runs or not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launchpad.cli.screen import say, wants_color
from launchpad.cli.target import StackCommand, check_names, each, groups_of, locate, names_of, running
from launchpad.errors import Refused
from launchpad.paths import StackPaths

if TYPE_CHECKING:
    from launchpad.cli.log_printers import Printer
    from launchpad.control.api import Snapshot
    from launchpad.views.news import News


@click.command("logs", cls=StackCommand, short_file=False)
@click.argument("names", nargs=-1, metavar="[STACK] [NAME]...")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on.")
@click.option("-n", "--lines", type=click.IntRange(0), metavar="N", help="Only the last N of each.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines.")
def command(
    names: tuple[str, ...], follow: bool, lines: int | None, as_json: bool, given: Path | None
) -> None:
    """Output of services, of the run and of earlier ones.

    One NAME gives its bytes as they are; several or none give lines with the name before each.
    """
    from launchpad.cli.log_printers import make_printer
    from launchpad.control.client import Suspended

    paths = locate(given)
    try:
        snapshot = running(paths)
    except Suspended:
        snapshot = None  # what was printed is there all the same
    if names:
        names = each(names, groups_of(paths, snapshot))
    logs = _logs(paths, snapshot, names)
    if not logs and not follow:
        say(f"nothing has been printed yet ({paths.file})")
        return
    printer = make_printer(raw=len(names) == 1, as_json=as_json, color=wants_color(sys.stdout))
    for name, path in logs.items():
        printer.add(name, path, lines)
    printer.finish(last=not follow)
    if follow:
        _follow(paths, printer, every=not names)


def _logs(paths: StackPaths, snapshot: Snapshot | None, names: tuple[str, ...]) -> dict[str, Path]:
    """Name → spool, in the order asked for, else in the stack's."""
    known = [view.name for view in snapshot.services if view.log] if snapshot else []
    known += sorted(log.stem for log in paths.logs_dir.glob("*.log"))
    unknown = [name for name in names if name not in known]
    if unknown:
        check_names(unknown, names_of(paths), snapshot.stack if snapshot else paths.file.parent.name)
        for name in unknown:
            say(f"`{name}` has not been started yet")
    return {name: paths.log(name) for name in names or dict.fromkeys(known)}


# --- following -----------------------------------------------------------------------------------------


def _follow(paths: StackPaths, printer: Printer, *, every: bool) -> None:
    """Until the stack is finished; where no supervisor answers, while anything may still be printed.
    `every`: also what is started for the first time meanwhile."""
    from launchpad.control.client import Client
    from launchpad.runtime.store import made_ready
    from launchpad.views.news import News

    made_ready(paths)
    news = News(Client(paths.socket))
    news.alarm.watch(paths.logs_dir)
    news.start()
    try:
        while not _is_over(news, paths, printer if every else None):
            if not printer.pump():
                news.alarm.wait(printer.due())
        printer.finish(last=True)
    finally:
        news.close()


def _is_over(news: News, paths: StackPaths, printer: Printer | None) -> bool:
    try:
        snapshot, gone = news.take()
    except Refused:
        return False  # a supervisor that does not answer ends no output
    for view in snapshot.services if snapshot and printer else ():
        if view.log and printer:
            printer.add(view.name, paths.log(view.name), None)
    if snapshot is not None and snapshot.phase == "finished":
        return True
    if not gone:
        return False
    from launchpad.hosts.local.records import open_records

    return not open_records(paths)
