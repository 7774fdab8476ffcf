"""`launchpad diff`: what applying the file would do, and why."""

from __future__ import annotations

from pathlib import Path

import click

from launchpad.cli.params import Shaping, reading_options
from launchpad.cli.screen import complain, print_json, say
from launchpad.cli.target import StackCommand, locate, not_running, running
from launchpad.errors import ExitCode


@click.command("diff", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] [NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
@reading_options
def command(
    names: tuple[str, ...],
    as_json: bool,
    shaping: Shaping,
    given: Path | None,
) -> int:
    """What applying the stack file to the running stack would do, and why. Does nothing.

    Exit 0 whether or not there is anything to do, 2 when the file cannot be applied.
    """
    from launchpad.control.api import to_json
    from launchpad.runtime.join import compared
    from launchpad.runtime.options import UpOptions
    from launchpad.views import table

    paths = locate(given)
    options = UpOptions(paths.file, names, **shaping._asdict())
    reply = compared(options, paths)
    if reply is None:
        say(not_running(paths))
        return ExitCode.FAILED
    if snapshot := running(paths):
        for line in table.scaled(snapshot):
            say(line)
    if as_json:
        print_json([to_json(effect) for effect in reply.effects])
    elif all(effect.verb == "keep" for effect in reply.effects) and len(reply.changes) == 1:
        say(f"nothing to do: what {paths.file.name} says is what runs")
    else:
        for line in reply.changes:
            print(line)
    if reply.diagnostics:
        complain(reply.diagnostics)
    return ExitCode.OK
