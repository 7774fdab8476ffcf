"""`launchpad up`: start, follow, stop with Ctrl-C."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from launchpad.cli.params import reading_options, timeout_option
from launchpad.cli.screen import is_terminal, wants_color
from launchpad.cli.target import StackCommand, locate


@click.command("up", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] [NAME]...")
@click.option("-d", "--detach", is_flag=True, help="Return once all is up, and leave it running.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option(
    "--no-watch",
    is_flag=True,
    help="Do not apply the file by itself when it is saved; in this version it never does.",
)
@timeout_option("Give up, and stop everything, when the stack is not up by then.")
@reading_options
def command(
    names: tuple[str, ...],
    detach: bool,
    dry_run: bool,
    no_watch: bool,
    timeout_s: float | None,
    profiles: tuple[str, ...],
    set_vars: tuple[tuple[str, str], ...],
    env_files: tuple[Path, ...],
    given: Path | None,
) -> int:
    """Start services and what they need, follow their output, stop them with Ctrl-C.

    On a stack that already runs: apply the file and follow its output; Ctrl-C then only lets go of it.
    """
    from launchpad.runtime.options import UpOptions
    from launchpad.runtime.up import up

    return up(
        UpOptions(
            file=locate(given).file,
            names=names,
            detach=detach,
            profiles=profiles,
            set_vars=set_vars,
            env_files=env_files,
            timeout_s=timeout_s,
            dry_run=dry_run,
            color=wants_color(sys.stdout),
            tty=is_terminal(sys.stdout) and is_terminal(sys.stderr),
        )
    )
