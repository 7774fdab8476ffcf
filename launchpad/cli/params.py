"""How things are written on a command line: durations, `key=value` pairs, what shapes a reading.

Refuses to do anything with them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """`500ms`, `30s`, `5m`, `2h`; a bare number is seconds. Gives seconds."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", value.strip())
    if not found:
        raise click.BadParameter(f"`{value}` is no duration; write `500ms`, `30s`, `5m` or `2h`")
    return float(found[1]) * _UNITS[found[2]]


def assignments(
    ctx: click.Context, param: click.Parameter, values: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Each `key=value`. Gives the pairs."""
    pairs = []
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"`{value}` is not of the form `key=value`")
        pairs.append((key, text))
    return tuple(pairs)


def timeout_option(help_text: str) -> Callable[[F], F]:
    return click.option("--timeout", "timeout_s", metavar="T", callback=duration, help=help_text)


class Shaping(NamedTuple):
    """What shapes the reading of a stack file, besides the file."""

    profiles: tuple[str, ...]
    set_vars: tuple[tuple[str, str], ...]
    env_files: tuple[Path, ...]


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--profile, --set and --env-file, handed over together as `shaping`."""

    @functools.wraps(command)
    def shaped(**given: Any) -> Any:
        shaping = Shaping(*(given.pop(name) for name in Shaping._fields))
        return command(shaping=shaping, **given)

    decorated: Callable[..., Any] = shaped
    for option in (
        click.option(
            "--env-file", "env_files", multiple=True, metavar="F", type=click.Path(path_type=Path),
            help="Variables for interpolation, over the stack's own env_file.",
        ),
        click.option(
            "--set", "set_vars", multiple=True, metavar="K=V", callback=assignments,
            help="Override one of the stack's vars.",
        ),
        click.option("--profile", "profiles", multiple=True, metavar="P", help="Turn a profile on."),
    ):  # fmt: skip
        decorated = option(decorated)
    return decorated
