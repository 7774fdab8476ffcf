"""`launchpad reload`: apply the stack file to the stack that runs."""

from __future__ import annotations

from pathlib import Path

import click

from launchpad.cli.screen import say
from launchpad.cli.target import StackCommand, locate, no_names, not_running
from launchpad.errors import ExitCode, Refused


@click.command("reload", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK]")
def command(names: tuple[str, ...], given: Path | None) -> int:
    """Apply the stack file now: what changed is replaced, what did not keeps its process. A file that cannot be
    applied changes nothing.

    Profiles, --set and --env-file are those of `launchpad up`. `launchpad up` does the same, and waits.
    """
    from launchpad.control.client import Client, NotRunning

    no_names(names)
    paths = locate(given)
    try:
        reply = Client(paths.socket).apply()
    except NotRunning:
        say(not_running(paths))
        return ExitCode.FAILED
    if not reply.ok:
        raise Refused(reply.diagnostics)
    for line in reply.changes:
        say(line)
    return ExitCode.OK
