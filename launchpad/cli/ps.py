"""`launchpad ps`: what runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launchpad.cli.screen import columns, is_terminal, print_json, say, wants_color
from launchpad.cli.target import StackCommand, check_names, each, groups_of, locate, not_running, running

if TYPE_CHECKING:
    from launchpad.control.api import Snapshot
    from launchpad.paths import StackPaths


@click.command("ps", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] [NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
def command(names: tuple[str, ...], as_json: bool, given: Path | None) -> None:
    """What runs: states, ports, addresses, and why something waits."""
    from msgspec.structs import replace

    from launchpad.control.api import to_json
    from launchpad.control.client import Suspended

    paths = locate(given)
    try:
        snapshot = running(paths)
    except Suspended as found:
        say(f"the supervisor (pid {found.pid}) is suspended; `kill -CONT {found.pid}` wakes it")
        _show_unsupervised(paths, names, as_json, "its supervisor is suspended")
        return
    if snapshot is None:
        from launchpad.cli.unsupervised import WHY

        say(not_running(paths))
        _show_unsupervised(paths, names, as_json, WHY)
        return
    if names:
        names = each(names, snapshot.groups)
        check_names(names, [view.name for view in snapshot.services], snapshot.stack)
        snapshot = replace(snapshot, services=tuple(v for v in snapshot.services if v.name in names))
    if as_json:
        print_json([to_json(view) for view in snapshot.services])
    else:
        _show(snapshot)


def _show_unsupervised(paths: StackPaths, names: tuple[str, ...], as_json: bool, why: str) -> None:
    """What lives all the same, by its records."""
    import time

    from launchpad.cli.unsupervised import views
    from launchpad.control.api import Snapshot, to_json
    from launchpad.views import table

    found = views(paths, time.time(), why)
    if names:
        names = each(names, groups_of(paths, None))
    if names and found:
        check_names(names, [view.name for view in found], paths.file.parent.name)
    shown = [view for view in found if view.name in names or not names]
    if as_json:
        print_json([to_json(view) for view in shown])
    if shown and not as_json:
        snapshot = Snapshot(0, paths.file.parent.name, str(paths.file), 0, 0.0, "lost", services=tuple(shown))
        print(table.plain_table(snapshot, time.time()), end="")


def _show(snapshot: Snapshot) -> None:
    import time

    from launchpad.views import table

    if is_terminal(sys.stdout) or wants_color(sys.stdout):
        table.print_table(
            snapshot, sys.stdout, width=columns(sys.stdout), color=wants_color(sys.stdout), now=time.time()
        )
    else:
        say(table.heading(snapshot, time.time()))
        for line in table.scaled(snapshot):
            say(line)
        if snapshot.stale:
            say(snapshot.stale)
        for one in snapshot.diagnostics:
            say(f"{one.severity}[{one.code}]: {one.message}")
        print(table.plain_table(snapshot, time.time()), end="")
