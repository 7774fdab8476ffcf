"""`launchpad scale`: another number of copies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launchpad.cli.params import timeout_option
from launchpad.cli.screen import complain, say
from launchpad.cli.target import StackCommand, locate, not_running
from launchpad.errors import ExitCode, Refused

if TYPE_CHECKING:
    from launchpad.control.client import Client


@click.command("scale", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] NAME=N...")
@click.option("--no-wait", is_flag=True, help="Return at once; do not wait until the new copies are up.")
@click.option("--yes", is_flag=True, help="Also when the file has changes that would end most of what runs.")
@timeout_option("Wait no longer than this; exit 1 when it is over.")
def command(
    names: tuple[str, ...], no_wait: bool, yes: bool, timeout_s: float | None, given: Path | None
) -> int:
    """Have another number of copies of services with `replicas`; the other copies are left alone.

    It holds until the stack is stopped, or until the file says another number than it does now. The file is applied as
    with `reload`.
    """
    from launchpad.cli.attend import attended
    from launchpad.control.client import NotRunning
    from launchpad.views.words import duration

    counts = _counts(names)
    paths = locate(given)
    client = attended(paths)
    try:
        reply = client.scale(counts, yes=yes, told=say)
        if not reply.ok:
            raise Refused(reply.diagnostics)
        for line in reply.changes:
            say(line)
        return ExitCode.OK if no_wait else _settled(client, counts, timeout_s)
    except NotRunning:
        say(not_running(paths))
    except TimeoutError as late:
        say(f"not so after {duration(timeout_s or 0)}: {late}")
    return ExitCode.FAILED


def _counts(names: tuple[str, ...]) -> dict[str, int]:
    """`llm=3` as a number by name, or a usage error."""
    found = {}
    for argument in names:
        name, _, number = argument.partition("=")
        if not name or not number.isascii() or not number.isdigit():
            message = f"`{argument}` is not of the form `NAME=N`."
            raise click.UsageError(message, click.get_current_context(silent=True))
        found[name] = int(number)
    if not found:
        raise click.UsageError("Say how many: `NAME=N`.", click.get_current_context(silent=True))
    return found


def _settled(client: Client, counts: dict[str, int], timeout_s: float | None) -> int:
    """Wait until all copies are up."""
    from launchpad.cli import settle

    before = client.status()
    names = [copy for name in counts for copy in before.groups.get(name, ())]
    wanted = [view.name for view in before.services if view.name in names and view.goal == "up"]
    bad = settle.settle(client, wanted, settle.is_up, timeout_s)
    if bad:
        complain(client.status().diagnostics)
    for name, why in bad.items():
        say(f"`{name}` is not up: {why}")
    return ExitCode.FAILED if bad else ExitCode.OK
