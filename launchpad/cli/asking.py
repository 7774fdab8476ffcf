"""What `start`, `stop` and `restart` have in common: ask, then wait until it is so.

Decides what is said about the result. The supervisor decides everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from launchpad.cli.screen import complain, say
from launchpad.cli.target import check_names, each, locate, not_running
from launchpad.errors import ExitCode

if TYPE_CHECKING:
    from launchpad.control.api import Reply
    from launchpad.control.client import Client

PAST = {"start": "started", "stop": "stopped", "restart": "restarted"}


def ask_and_wait(
    verb: str, names: tuple[str, ...], given: Path | None, wait: bool, timeout_s: float | None
) -> int:
    """`verb` is start, stop or restart. The exit code."""
    import click

    from launchpad.cli.attend import attended
    from launchpad.control.client import NotRunning
    from launchpad.views.words import duration

    if not names:
        raise click.UsageError(f"Name what to {verb}.", click.get_current_context(silent=True))
    paths = locate(given)
    client = attended(paths)
    try:
        return _ask(client, verb, names, wait, timeout_s)
    except NotRunning:
        say(not_running(paths))
    except TimeoutError as late:
        say(f"not so after {duration(timeout_s or 0)}: {late}")
    return ExitCode.FAILED


def _ask(client: Client, verb: str, names: tuple[str, ...], wait: bool, timeout_s: float | None) -> int:
    from launchpad.cli import settle

    before = client.status()
    names = _each(names, before.groups)
    check_names(names, [view.name for view in before.services], before.stack)
    if not names:
        return ExitCode.OK
    if not _said(getattr(client, verb)(names)):
        return ExitCode.REFUSED
    if not wait:
        return ExitCode.OK
    verdicts = {
        "start": settle.is_up,
        "stop": settle.is_gone,
        "restart": settle.started_anew(before),
    }
    bad = settle.settle(client, names, verdicts[verb], timeout_s)
    if bad and (news := [one for one in client.status().diagnostics if one not in before.diagnostics]):
        complain(news)
    for name in names:
        say(f"`{name}` is not {PAST[verb]}: {bad[name]}" if name in bad else f"`{name}` is {PAST[verb]}")
    return ExitCode.FAILED if bad else ExitCode.OK


def _each(names: tuple[str, ...], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Every copy; told of a service that has none at present."""
    for name in names:
        if groups.get(name) == []:
            say(f"`{name}` has no copy now; `launchpad scale {name}=1`")
    return each(names, groups)


def _said(reply: Reply) -> bool:
    for line in reply.changes:
        say(line)
    if reply.diagnostics:
        complain(reply.diagnostics)
    return reply.ok
