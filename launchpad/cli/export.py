"""`launchpad export`: the stack for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launchpad.cli.params import Shaping, reading_options
from launchpad.cli.screen import say
from launchpad.cli.target import StackCommand, locate, no_names, read
from launchpad.errors import ExitCode

if TYPE_CHECKING:
    from launchpad.export.source import Exported
    from launchpad.plan.read import Reading

FORMATS = ("systemd", "supervisord", "compose", "kubernetes", "slurm")
IMAGED = ("compose", "kubernetes")


@click.command("export", cls=StackCommand)
@click.argument("format_", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("names", nargs=-1, metavar="[STACK]")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Write the files there; what is there is left as it is. Default: stdout.",
)  # fmt: skip
@click.option(
    "--image",
    metavar="IMAGE",
    help="For compose and kubernetes: the image that has the programs of the stack.",
)
@click.option(
    "--time", "limit", metavar="T", help="For slurm: the limit of the allocation, such as 04:00:00."
)
@reading_options
def command(
    format_: str,
    names: tuple[str, ...],
    output: Path | None,
    image: str | None,
    limit: str | None,
    shaping: Shaping,
    given: Path | None,
) -> int:
    """Write the stack for another program: systemd (user units), supervisord, compose, kubernetes or slurm.

    On stderr: what that program cannot express, with its place in the stack file. A range becomes its first port. Values
    of env files and of names that look secret are never written.
    """
    no_names(names)
    _check_options(format_, image, limit)
    reading = read(locate(given), *shaping)
    found = _exported(format_, reading, image or "", limit, shaping, output or Path())
    _write(found, output)
    if found.said:
        say(f"{format_} cannot express, or not as it was:")
    for line in found.said:
        say(f"  {line}")
    return ExitCode.OK


def _check_options(format_: str, image: str | None, limit: str | None) -> None:
    context = click.get_current_context()
    if format_ in IMAGED and not image:
        raise click.UsageError(f"{format_} runs images: name one with --image.", context)
    if image and format_ not in IMAGED:
        raise click.UsageError(f"--image goes with {' and '.join(IMAGED)}.", context)
    if limit and format_ != "slurm":
        raise click.UsageError("--time goes with slurm.", context)


def _exported(
    format_: str, reading: Reading, image: str, limit: str | None, shaping: Shaping, folder: Path
) -> Exported:
    from launchpad.export import compose, kubernetes, slurm, supervisord, systemd

    if format_ == "slurm":
        return slurm.export(reading, slurm.Asked(limit or slurm.Asked().time, *_again(shaping)))
    if format_ == "compose":
        return compose.export(reading, image, folder.absolute())
    if format_ == "kubernetes":
        return kubernetes.export(reading, image)
    return systemd.export(reading) if format_ == "systemd" else supervisord.export(reading)


def _again(shaping: Shaping) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The same options, for launchpad itself; and the names of those that are secret, and not written."""
    from launchpad.stack.scope import looks_secret

    shown = [f"--profile={one}" for one in shaping.profiles]
    shown += [f"--set={key}={value}" for key, value in shaping.set_vars if not looks_secret(key)]
    shown += [f"--env-file={one.absolute()}" for one in shaping.env_files]
    return tuple(shown), tuple(key for key, _ in shaping.set_vars if looks_secret(key))


def _write(found: Exported, folder: Path | None) -> None:
    from launchpad.cli.writing import make_folder, refuse_existing, write_new

    if folder is not None:
        refuse_existing(folder / name for name in found.files)
        make_folder(folder)
    for name, text in found.files.items():
        if folder is not None:
            write_new(folder / name, text)
        else:
            print(text if len(found.files) == 1 else f"# --- {name}\n{text}", end="")
    if folder is not None:
        say(f"wrote {', '.join(str(folder / name) for name in found.files)}")
