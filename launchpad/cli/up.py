"""`launchpad up`: start, follow, stop with Ctrl-C."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from launchpad.cli.light import import_light
from launchpad.cli.params import Shaping, reading_options, timeout_option
from launchpad.cli.screen import is_terminal, wants_color
from launchpad.cli.target import StackCommand, locate


@click.command("up", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] [NAME]...")
@click.option("-d", "--detach", is_flag=True, help="Return once all is up, and leave it running.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print a list of objects.")
@click.option("--no-watch", is_flag=True, help="Do not apply the file by itself when it is saved.")
@click.option("--yes", is_flag=True, help="On a running stack: also when most of what runs would be ended.")
@click.option(
    "--until-exit", type=click.IntRange(1), metavar="PID", help="Stop the stack when that process ends."
)
@timeout_option("Give up when the stack is not up by then, and stop it, unless it ran before.")
@reading_options
def command(
    names: tuple[str, ...],
    detach: bool,
    dry_run: bool,
    as_json: bool,
    no_watch: bool,
    yes: bool,
    until_exit: int | None,
    timeout_s: float | None,
    shaping: Shaping,
    given: Path | None,
) -> int:
    """Start services and what they need, follow their output, apply the file when it is saved, stop all with
    Ctrl-C.

    On a stack that already runs: apply the file and follow its output; Ctrl-C then only lets go of it.
    """
    if as_json and not dry_run:
        raise click.UsageError("--json goes with --dry-run.", click.get_current_context())
    target = locate(given)
    from launchpad.hosts.local.keeper import Keeper

    keeper = None if dry_run else Keeper(target)  # before all the rest is there, which it would hold as well
    import_light("asyncio", "hashlib", "hmac")
    from launchpad.runtime.options import UpOptions
    from launchpad.runtime.up import up

    return up(
        UpOptions(
            file=target.file,
            names=names,
            detach=detach,
            **shaping._asdict(),
            timeout_s=timeout_s,
            dry_run=dry_run,
            as_json=as_json,
            watch=not no_watch,
            yes=yes,
            until_exit=until_exit,
            color=wants_color(sys.stdout),
            tty=is_terminal(sys.stdout) and is_terminal(sys.stderr),
        ),
        keeper,
    )
