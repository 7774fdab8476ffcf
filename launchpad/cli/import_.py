"""`launchpad import`: a stack file from a Procfile or a compose file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launchpad.cli.screen import say
from launchpad.errors import ExitCode

if TYPE_CHECKING:
    from launchpad.imports.draft import Draft


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path), metavar="PROCFILE|COMPOSE.yaml")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
    help="Write it there; a file that is there is left as it is. Default: stdout.",
)  # fmt: skip
def command(source: Path, output: Path | None) -> int:
    """Print a stack file made from a Procfile or a compose file.

    On stderr: what could not be carried over, or means something else now, with its place. Nothing is dropped without a
    word, and nothing is started.
    """
    from launchpad.cli.writing import refuse_existing, write_new

    if output is not None:
        refuse_existing([output])
    draft = _draft(source, output)
    if output is None:
        print(draft.text(), end="")
    else:
        write_new(output, draft.text())
    if draft.left:
        say("not carried over, or not as it was:")
    for line in draft.places():
        say(f"  {line}")
    if output is not None:
        say(f"wrote {output}; next: `launchpad check {output}`")
    return ExitCode.OK


def _draft(source: Path, output: Path | None) -> Draft:
    from launchpad.imports import compose, procfile

    folder = os.path.relpath(source.parent, output.parent) if output is not None else "."
    beside = source.parent / ".env"
    env = os.path.normpath(os.path.join(folder, ".env")) if beside.is_file() else None
    if source.suffix.lower() in (".yaml", ".yml"):
        return compose.draft(source, folder=folder, env=env)
    return procfile.draft(source, folder=folder, env=env)
