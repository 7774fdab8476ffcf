"""`launchpad start`."""

from __future__ import annotations

from pathlib import Path

import click

from launchpad.cli.params import timeout_option
from launchpad.cli.target import StackCommand


@click.command("start", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] NAME...")
@click.option("--no-wait", is_flag=True, help="Return at once; do not wait until they are up.")
@timeout_option("Wait no longer than this; exit 1 when it is over.")
def command(names: tuple[str, ...], no_wait: bool, timeout_s: float | None, given: Path | None) -> int:
    """Start services of the running stack, and what they need."""
    from launchpad.cli.asking import ask_and_wait

    return ask_and_wait("start", names, given, not no_wait, timeout_s)
