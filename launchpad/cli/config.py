"""`launchpad config`: the stack as resolved."""

from __future__ import annotations

from pathlib import Path

import click

from launchpad.cli.params import Shaping, reading_options
from launchpad.cli.screen import print_json, say
from launchpad.cli.target import StackCommand, locate, no_names, read


@click.command("config", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK]")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of YAML.")
@reading_options
def command(
    names: tuple[str, ...],
    as_json: bool,
    shaping: Shaping,
    given: Path | None,
) -> None:
    """The stack as resolved: defaults merged, variables filled in, secrets masked."""
    no_names(names)
    from launchpad.views.words import scaled_line

    reading = read(locate(given), *shaping)
    for one in reading.scaled:
        say(scaled_line(one.name, one.count, one.instead_of or 0))
    content = reading.config()
    if as_json:
        print_json(content)
        return
    import yaml

    print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100), end="")
