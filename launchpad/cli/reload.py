"""`launchpad reload`: the file, applied now."""

from __future__ import annotations

from pathlib import Path

import click

from launchpad.cli.screen import say
from launchpad.cli.target import StackCommand, locate, no_names, not_running
from launchpad.errors import ExitCode, Refused


@click.command("reload", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK]")
@click.option("--yes", is_flag=True, help="Also when most of what runs would be ended.")
def command(names: tuple[str, ...], yes: bool, given: Path | None) -> int:
    """Apply the stack file to the running stack: what changed is restarted, the rest keeps its process.

    A file that cannot be applied changes nothing; exit 2. What has failed is not tried again: `up` does that.
    """
    from launchpad.cli.attend import attended
    from launchpad.control.client import NotRunning

    no_names(names)
    paths = locate(given)
    try:
        reply = attended(paths).reload(yes=yes, told=say)
    except NotRunning:
        say(not_running(paths))
        return ExitCode.FAILED
    if not reply.ok:
        raise Refused(reply.diagnostics)
    for line in reply.changes:
        say(line)
    return ExitCode.OK
