"""`launchpad config`: the stack as resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from launchpad.cli.params import Shaping, reading_options
from launchpad.cli.screen import print_json, say
from launchpad.cli.target import StackCommand, check_names, each, locate, read

GROUPS = ("servers", "jobs")


@click.command("config", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] [NAME]...")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of YAML.")
@reading_options
def command(
    names: tuple[str, ...],
    as_json: bool,
    shaping: Shaping,
    given: Path | None,
) -> None:
    """The stack as resolved: recipes and defaults merged, variables filled in, secrets masked.

    With a NAME: that server or job alone.
    """
    from launchpad.views.words import scaled_line

    reading = read(locate(given), *shaping)
    for one in reading.scaled:
        say(scaled_line(one.name, one.count, one.instead_of or 0))
    content = reading.config()
    if names:
        names = each(names, reading.loaded.groups)
        check_names(names, [service.name for service in reading.plan.services], reading.name)
        content = _only(content, names)
    if as_json:
        print_json(content)
        return
    import yaml

    print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100), end="")


def _only(content: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    groups = {
        key: {name: one for name, one in content.get(key, {}).items() if name in names} for key in GROUPS
    }
    return {key: group for key, group in groups.items() if group}
