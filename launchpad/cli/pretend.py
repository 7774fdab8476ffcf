"""`launchpad pretend`: hands its arguments on to the actor, unread."""

from __future__ import annotations

import click


@click.command(
    "pretend",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """A program that plays a server or a job, for rehearsals: `launchpad pretend --help`."""
    from launchpad.pretend import main

    return main(list(arguments))
