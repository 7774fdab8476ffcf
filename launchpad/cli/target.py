"""Which stack a command is about, which of its services, and who answers for it.

Decides how arguments become a stack file and names, and what is said about a wrong one. Refuses to
know what a command does with them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launchpad.errors import Diagnostic, Refused, listed, named
from launchpad.paths import STACK_NAMES, StackPaths, find_stack, stack_paths

if TYPE_CHECKING:
    from launchpad.control.api import Snapshot
    from launchpad.plan.read import Reading


class StackCommand(click.Command):
    """A command about one stack. Its arguments are `names`; the one that ends in .yaml or .yml is taken
    out of them and handed over as `given`, as is `-f FILE`. What follows `--` becomes `rest`, for a
    command that declares `takes_rest`. `short_file=False` leaves -f to the command (`logs -f`)."""

    def __init__(self, *args: Any, takes_rest: bool = False, short_file: bool = True, **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.takes_rest = takes_rest
        flags = ("-f", "--file") if short_file else ("--file",)
        self.params.append(
            click.Option(
                (*flags, "file"), type=click.Path(path_type=Path), metavar="FILE", help="The stack file."
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest: list[str] = []
        if self.takes_rest and "--" in args:
            cut = args.index("--")
            args, rest = args[:cut], args[cut + 1 :]
        left = super().parse_args(ctx, args)
        if self.takes_rest:
            ctx.params["rest"] = tuple(rest)
        self._take_file(ctx)
        return left

    def _take_file(self, ctx: click.Context) -> None:
        named = ctx.params.pop("file", None)
        names: Sequence[str] = ctx.params.get("names", ())
        files = [Path(name) for name in names if is_stack_name(name)]
        if "names" in ctx.params:
            ctx.params["names"] = tuple(name for name in names if not is_stack_name(name))
        if named is not None:
            files.append(named)
        if len(files) > 1:
            ctx.fail(f"One stack file, please: `{files[0]}` or `{files[1]}`?")
        ctx.params["given"] = files[0] if files else ctx.find_object(Path)


def is_stack_name(argument: str) -> bool:
    return argument.lower().endswith((".yaml", ".yml"))


def locate(given: Path | None) -> StackPaths:
    """The stack that is meant: the one given, else the nearest here or above. The file need not exist
    any more where its state does; Refused when there is neither."""
    if given is None:
        found = find_stack(Path.cwd())
        if found is None:
            raise _no_stack()
        return stack_paths(found)
    paths = stack_paths(given)
    if not os.path.isfile(paths.file) and not os.path.isdir(paths.state_dir):
        raise Refused(
            [
                Diagnostic(
                    "E191",
                    f"there is no stack file `{given}`",
                    notes=("it is a folder",) if os.path.isdir(paths.file) else (),
                    consequence="nothing was done",
                    hint="`launchpad init` writes a first stack.yaml",
                )
            ]
        )
    return paths


def _no_stack() -> Refused:
    return Refused(
        [
            Diagnostic(
                "E190",
                f"there is no {STACK_NAMES[0]} or {STACK_NAMES[2]} in {Path.cwd()} or a folder above it",
                consequence="nothing was done",
                hint="name the file: `-f path/to/stack.yaml`, or write a first one: `launchpad init`",
            )
        ]
    )


def running(paths: StackPaths) -> Snapshot | None:
    """The stack now, or None when no supervisor answers."""
    from launchpad.control.client import Client, NotRunning

    try:
        return Client(paths.socket).status()
    except NotRunning:
        return None


def read(
    paths: StackPaths,
    profiles: Sequence[str] = (),
    set_vars: Iterable[tuple[str, str]] = (),
    env_files: Iterable[Path] = (),
) -> Reading:
    """The stack file, read; raises Refused with all its problems."""
    from launchpad.plan.read import read_stack
    from launchpad.runtime.read import scaled

    return read_stack(
        paths.file,
        set_vars=dict(set_vars),
        env_files=[str(file) for file in env_files],
        profiles=tuple(profiles),
        scaled=scaled(paths),
    )


def each(names: Iterable[str], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """With the copies of a service (`replicas`) in the place of the name of them all."""
    return tuple(dict.fromkeys(one for name in names for one in groups.get(name, (name,))))


def groups_of(paths: StackPaths, snapshot: Snapshot | None) -> Mapping[str, Sequence[str]]:
    """The copies of each service that has `replicas`: those that run, else those of the file."""
    if snapshot is not None:
        return snapshot.groups
    try:
        return read(paths).groups
    except Refused:
        return {}


def names_of(paths: StackPaths) -> list[str]:
    """Services of the stack file and of the logs that it left, in that order; of a broken file those of the logs.
    Refused where there are none either."""
    logs = sorted(log.stem for log in paths.logs_dir.glob("*.log"))
    try:
        names = [service.name for service in read(paths).plan.services]
    except Refused:
        if not logs:
            raise
        names = []
    return list(dict.fromkeys([*names, *logs]))


def no_names(names: Sequence[str]) -> None:
    """A usage error when there are any: the command is about the whole stack."""
    if names:
        raise click.UsageError(f"Unexpected argument `{names[0]}`.", click.get_current_context(silent=True))


def check_names(names: Iterable[str], known: Sequence[str], stack: str) -> None:
    """Refused when a name is not known, with the nearest one as a hint."""
    import difflib

    problems = []
    for name in dict.fromkeys(names):
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, 1)
        problems.append(
            Diagnostic(
                "E205",
                f"`{stack}` has no server or job `{name}`",
                notes=(f"it has {named(known)}",) if known else ("it has none",),
                consequence="nothing was changed",
                hint=f"did you mean `{near[0]}`?" if near else "",
            )
        )
    if problems:
        raise Refused(problems)


def one_name(names: Sequence[str], what: str = "NAME") -> str:
    """The only name, or a usage error."""
    if len(names) != 1:
        raise click.UsageError(f"Name exactly one {what}.", click.get_current_context(silent=True))
    return names[0]


def not_running(paths: StackPaths, stack: str = "") -> str:
    """What to say when no supervisor answers; names what lives all the same."""
    from launchpad.hosts.local.orphans import left_of
    from launchpad.runtime.store import refuse_others

    refuse_others(paths)
    where = f"`{stack}` ({paths.file})" if stack else f"{paths.file}"
    left = left_of(paths)
    if not left.all:
        return f"{where} is not running; start it with `launchpad up`"
    mains = listed(f"`{name}` (pid {one.pid})" for name, one in left.mains.items())
    count = f"{len(left.mains)} service{'s' if len(left.mains) != 1 else ''}"
    runs = "runs" if len(left.mains) == 1 else "run"
    what = f"{count} {runs} unsupervised: {mains}" if mains else f"{len(left.all)} processes of it still live"
    return f"{where} has no supervisor: {what}; `launchpad up` takes them over, `launchpad down` ends them"
