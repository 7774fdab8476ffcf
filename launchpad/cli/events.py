"""`launchpad events`: what happened, from the journal on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from launchpad.cli.journal import Journal, earlier
from launchpad.cli.screen import say
from launchpad.cli.target import StackCommand, check_names, each, groups_of, locate, names_of, running
from launchpad.paths import StackPaths


@click.command("events", cls=StackCommand, short_file=False)
@click.argument("names", nargs=-1, metavar="[STACK] [NAME]...")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option("-n", "--lines", type=click.IntRange(0), metavar="N", help="Only the last N.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines.")
def command(
    names: tuple[str, ...], follow: bool, lines: int | None, as_json: bool, given: Path | None
) -> None:
    """What happened, one line each: states, probes, ports, goals, problems."""
    paths = locate(given)
    journal = Journal(paths.journal)
    if names:
        names = each(names, groups_of(paths, running(paths)))
    old = [event for event in (*earlier(paths), *journal.new()) if _is_about(event, names)]
    _know(names, old, paths)
    for event in old if lines is None else old[max(0, len(old) - lines) :]:
        _print(event, as_json)
    if follow:
        _follow(paths, journal, names, as_json)
    elif not old:
        say(f"nothing has happened yet ({paths.file})")


def _know(names: tuple[str, ...], found: list[dict[str, Any]], paths: StackPaths) -> None:
    """Names without any event are checked against the stack file."""
    missing = [name for name in names if not any(event.get("service") == name for event in found)]
    if missing:
        check_names(missing, names_of(paths), paths.file.parent.name)


def _is_about(event: dict[str, Any], names: tuple[str, ...]) -> bool:
    return not names or event.get("service") in names


def _print(event: dict[str, Any], as_json: bool) -> None:
    import json
    import time

    if as_json:
        print(json.dumps(event, ensure_ascii=False), flush=True)
        return
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.get("at", 0)))
    what = event.get("phase") if event.get("what") == "phase" else event.get("what")
    text = event.get("text", "")
    shown = f"{what}: {text}" if text and text != what else what
    print(f"{at}  {event.get('service') or '-'}  {shown}", flush=True)


def _follow(paths: StackPaths, journal: Journal, names: tuple[str, ...], as_json: bool) -> None:
    from launchpad.runtime.store import made_ready
    from launchpad.views.alarm import Alarm

    made_ready(paths)
    alarm = Alarm()
    alarm.watch(paths.state_dir)
    while True:
        for event in journal.new():
            if _is_about(event, names):
                _print(event, as_json)
        alarm.wait(None)
