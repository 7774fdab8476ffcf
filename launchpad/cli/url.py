"""`launchpad url`: one address, for use in scripts."""

from __future__ import annotations

from pathlib import Path

import click

from launchpad.cli.screen import say
from launchpad.cli.target import StackCommand, check_names, locate, not_running, one_name, running
from launchpad.errors import ExitCode


@click.command("url", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] NAME")
def command(names: tuple[str, ...], given: Path | None) -> int:
    """The address of a running server; exit 1 while it is not ready."""
    from launchpad.views.words import state_word, why

    name = one_name(names)
    paths = locate(given)
    snapshot = running(paths)
    if snapshot is None:
        say(not_running(paths))
        return ExitCode.FAILED
    check_names([name], [view.name for view in snapshot.services], snapshot.stack)
    view = next(view for view in snapshot.services if view.name == name)
    if view.url is None and not view.ports:
        say(f"`{name}` has no address: it has no `port`")
        return ExitCode.FAILED
    if view.state != "ready" or view.url is None:
        reason = why(view)
        say(f"`{name}` is not ready: {state_word(view)}" + (f" ({reason})" if reason else ""))
        return ExitCode.FAILED
    print(view.url)
    return ExitCode.OK
