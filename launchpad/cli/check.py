"""`launchpad check`: all problems of all files, at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launchpad.cli.params import Shaping, reading_options
from launchpad.cli.screen import complain, print_json, say
from launchpad.cli.target import locate
from launchpad.errors import Diagnostic, ExitCode, Refused

if TYPE_CHECKING:
    from launchpad.plan.read import Reading


@click.command("check")
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@click.option(
    "-f", "--file", "named", type=click.Path(path_type=Path), metavar="FILE", help="The stack file."
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
@reading_options
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[Path, ...],
    named: Path | None,
    as_json: bool,
    shaping: Shaping,
) -> int:
    """Validate stack files: all problems of all files at once. Starts nothing.

    Exit 2 when a file has an error; warnings alone are fine.
    """
    from launchpad.plan.read import read_stack

    if named is not None:
        files = (*files, named)
    found: list[Diagnostic] = []
    for file in files or (locate(ctx.find_object(Path)).file,):
        try:
            reading = read_stack(
                file,
                set_vars=dict(shaping.set_vars),
                env_files=[str(one) for one in shaping.env_files],
                profiles=shaping.profiles,
            )
        except Refused as refused:
            found += refused.diagnostics
            continue
        found += reading.warnings
        if not any(one.is_error for one in reading.warnings):
            say(_praise(file, reading))
    if as_json:
        from launchpad.views.diagnostics import to_json

        print_json([to_json(one) for one in found])
    elif found:
        complain(found)
    return ExitCode.REFUSED if any(one.is_error for one in found) else ExitCode.OK


def _praise(file: Path, reading: Reading) -> str:
    kinds = [service.kind.value for service in reading.plan.services]
    counts = [
        f"{kinds.count(kind)} {kind}{'' if kinds.count(kind) == 1 else 's'}" for kind in ("server", "job")
    ]
    count = len(reading.warnings)
    warnings = f", {count} warning{'' if count == 1 else 's'}" if count else ""
    return f"{file}: ok, {', '.join(counts)}{warnings}"
