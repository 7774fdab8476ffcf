"""`launchpad explain`: the long form of an error code."""

from __future__ import annotations

import textwrap

import click

from launchpad.cli.screen import say
from launchpad.errors import ExitCode


@click.command("explain")
@click.argument("code", required=False)
def command(code: str | None) -> int:
    """The long form of an error code; without one, all codes."""
    from launchpad.codes import CODES

    if code is None:
        for name, entry in CODES.items():
            print(f"{name}  {entry.title}")
        return ExitCode.OK
    found = CODES.get(code.upper())
    if found is None:
        say(f"there is no code `{code}`; `launchpad explain` lists them all")
        return ExitCode.REFUSED
    print(f"{code.upper()}: {found.title}\n")
    print(textwrap.fill(found.meaning, 90))
    for head, points in (("Typical causes", found.causes), ("What to do", found.remedies)):
        print(f"\n{head}:")
        for point in points:
            print(textwrap.fill(point, 90, initial_indent="  - ", subsequent_indent="    "))
    return ExitCode.OK
