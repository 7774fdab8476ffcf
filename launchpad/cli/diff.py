"""`launchpad diff`: what applying the stack file would do."""

from __future__ import annotations

from pathlib import Path

import click

from launchpad.cli.screen import say
from launchpad.cli.target import StackCommand, locate, no_names, not_running
from launchpad.errors import ExitCode, Refused


@click.command("diff", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK]")
def command(names: tuple[str, ...], given: Path | None) -> int:
    """What `launchpad reload` would do to the stack that runs, and why. Nothing is done."""
    from launchpad.control.client import Client, NotRunning

    no_names(names)
    paths = locate(given)
    try:
        reply = Client(paths.socket).diff()
    except NotRunning:
        say(not_running(paths))
        return ExitCode.FAILED
    if not reply.ok:
        raise Refused(reply.diagnostics)
    for line in reply.changes:
        print(line)
    return ExitCode.OK
