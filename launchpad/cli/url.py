"""`launchpad url`: one address, for use in scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launchpad.cli.screen import say
from launchpad.cli.target import (
    StackCommand,
    check_names,
    each,
    groups_of,
    locate,
    not_running,
    one_name,
    read,
    running,
)
from launchpad.errors import ExitCode, Refused
from launchpad.paths import StackPaths

if TYPE_CHECKING:
    from launchpad.control.api import ServiceView


@click.command("url", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] NAME")
def command(names: tuple[str, ...], given: Path | None) -> int:
    """The address of a running server; exit 1 while it is not ready. Of a server with `replicas`: one line for each
    copy, once all are ready."""
    name = one_name(names)
    paths = locate(given)
    snapshot = running(paths)
    if snapshot is None:
        _without_supervisor(paths, name)
        return ExitCode.FAILED
    names = each([name], snapshot.groups)
    check_names(names, [view.name for view in snapshot.services], snapshot.stack)
    urls = [_url(paths, view) for one in names for view in snapshot.services if view.name == one]
    if None in urls:
        return ExitCode.FAILED
    for url in urls:
        print(url)
    return ExitCode.OK


def _url(paths: StackPaths, view: ServiceView) -> str | None:
    """None, after saying why, where it has none now."""
    from launchpad.views.words import state_word, why

    if view.url is None and (lack := _lack(paths, view)):
        say(f"`{view.name}` has no address: {lack}")
    elif view.state != "ready" or view.url is None:
        reason = why(view)
        say(f"`{view.name}` is not ready: {state_word(view)}" + (f" ({reason})" if reason else ""))
    else:
        return view.url
    return None


def _without_supervisor(paths: StackPaths, name: str) -> None:
    """Where it was reached, for people; whether it is ready is known to nobody, so a script gets nothing."""
    import time

    from launchpad.cli.unsupervised import views

    say(not_running(paths))
    names = each([name], groups_of(paths, None))
    for view in views(paths, time.time()):
        if view.name in names and view.url:
            say(f"`{view.name}` was at {view.url}; nobody looks whether it is ready")


def _lack(paths: StackPaths, view: ServiceView) -> str:
    """Why it will never have an address; ports are not taken before the start, so the file is asked as well."""
    from launchpad.views.words import ports_text

    if view.ports:
        return f"it has no main port, only {ports_text(view)}"
    try:
        services = {service.name: service for service in read(paths).plan.services}
    except Refused:
        services = {}
    service = services.get(view.name)
    if service is not None and service.ports:
        return "" if any(port.name == "main" for port in service.ports) else "it has no main port"
    return "it has no `port`"
