"""`launchpad events`: what happened, from the journal on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from launchpad.cli.screen import say
from launchpad.cli.target import StackCommand, locate


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
    journal = paths.journal
    before = journal.with_name(journal.name + ".1")
    old = [event for part in (before, journal) for event in _events(_lines(part), names)]
    _know(names, old, paths.file)
    kept = old if lines is None else old[len(old) - lines :] if lines else []
    for event in kept:
        _print(event, as_json)
    if not old and not follow:
        say(f"nothing has happened yet in {paths.file}")
    if follow:
        _follow(journal, names, as_json)


def _know(names: tuple[str, ...], found: list[dict[str, Any]], file: Path) -> None:
    """Names without any event are checked against the stack file."""
    from launchpad.cli.target import check_names, names_of

    missing = [name for name in names if not any(event.get("service") == name for event in found)]
    if missing:
        check_names(missing, names_of(file), file.parent.name)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            yield from file
    except FileNotFoundError:
        return


def _events(lines: Iterator[bytes] | list[bytes], names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    import json

    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # cut off by a crash
        if isinstance(event, dict) and (not names or event.get("service") in names):
            yield event


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


def _follow(journal: Path, names: tuple[str, ...], as_json: bool) -> None:
    from launchpad.views.alarm import Alarm

    alarm = Alarm()
    journal.parent.mkdir(parents=True, exist_ok=True)
    alarm.watch(journal.parent)
    tail = _Journal(journal)
    while True:
        for event in _events(tail.new(), names):
            _print(event, as_json)
        alarm.wait(None)


class _Journal:
    """What is appended from now on, also after the journal was replaced by a fresh one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = b""
        self._offset, self._file = self._here()

    def new(self) -> list[bytes]:
        lines: list[bytes] = []
        size, file = self._here()
        if file != self._file or size < self._offset:
            self._offset, self._file = 0, file
        if size > self._offset:
            with open(self._path, "rb") as source:
                source.seek(self._offset)
                data = source.read()
            self._offset += len(data)
            *lines, self._part = (self._part + data).split(b"\n")
        return lines

    def _here(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_size, found.st_ino
