"""`launchpad run`: one job, with what it needs around it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from launchpad.cli.light import import_light
from launchpad.cli.params import Shaping, reading_options, timeout_option
from launchpad.cli.screen import is_terminal, wants_color
from launchpad.cli.target import StackCommand, locate, one_name


@click.command("run", cls=StackCommand, takes_rest=True)
@click.argument("names", nargs=-1, metavar="[STACK] JOB [-- ARGS]...")
@timeout_option("Give up when what the job needs is not up by then.")
@reading_options
def command(
    names: tuple[str, ...],
    rest: tuple[str, ...],
    timeout_s: float | None,
    shaping: Shaping,
    given: Path | None,
) -> int:
    """Start what a job needs, run the job, stop it all; exit with the job's code.

    What follows `--` is added to the job's command. A script (`shell: true`) has it as "$@"; where it names no
    parameters, at its end.
    """
    job = one_name(names, "job (its arguments come after `--`)")
    target = locate(given)
    from launchpad.hosts.local.keeper import Keeper

    keeper = Keeper(target)  # before all the rest is there, which it would hold as well
    import_light("asyncio", "hashlib", "hmac")
    from launchpad.runtime.options import UpOptions
    from launchpad.runtime.up import run

    return run(
        UpOptions(
            file=target.file,
            job=job,
            job_args=rest,
            **shaping._asdict(),
            timeout_s=timeout_s,
            color=wants_color(sys.stdout),
            tty=is_terminal(sys.stdout) and is_terminal(sys.stderr),
        ),
        keeper,
    )
