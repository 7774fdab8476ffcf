"""The fault table: each case makes one fault on a real stack and yields a row of what it cost.

A case is a test with `@fault(...)`; it gets a `row`, fills in what it measured, and asserts what may not be.
`scripts/gen_faults` runs them all and writes docs/faults.md from the rows.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct

from launchpad.hosts.local.spool_reader import SpoolReader
from tests.e2e.harness import Stack, alive, eventually, get

TALKING = """
    servers:
      llm: {command: "PRETEND --port ${self.port} --name llm", port: auto, ready: /health}
      counts: {command: PRETEND --spam-rate 200KB/s}
      other: {command: PRETEND --name other}
"""
"""`llm` answers, `counts` prints numbered lines without end, `other` is just there."""

NUMBERED = re.compile(rb"^(\d{12}) \.+$")
Test = TypeVar("Test", bound=Callable[..., Any])


class Case(NamedTuple):
    """What the table says of a case before it has been run."""

    area: str
    fault: str
    how: str


CASES: list[Case] = []


def fault(area: str, name: str, how: str) -> Callable[[Test], Test]:
    """Declares a case. A test with parameters declares one for each, by `cases`."""
    case = Case(area, name, how)
    CASES.append(case)

    def mark(test: Test) -> Test:
        test.case = case  # type: ignore[attr-defined]
        return test

    return mark


def cases(several: list[Case]) -> list[Case]:
    """Declares these; the test says `row.case = …`."""
    CASES.extend(several)
    return several


class Row(Struct):
    """What a case cost. `recovery_s`: from the end of the fault until all was as the file says."""

    case: Case
    tries: int = 1
    processes_lost: int = 0
    lines_lost: int = 0
    survivors: int = 0
    recovery_s: float | None = None
    outcome: str = ""

    @contextmanager
    def recovers(self) -> Iterator[None]:
        """Takes the time; the longest of several counts."""
        begun = time.monotonic()
        yield
        self.recovery_s = max(self.recovery_s or 0.0, time.monotonic() - begun)


class Drill:
    """A stack whose processes and lines are counted. `begin`, then the fault, then `end`."""

    def __init__(self, stack: Stack, row: Row, talker: str = "llm", counts: str = "counts") -> None:
        self.stack, self.row, self.talker, self.counts = stack, row, talker, counts
        self.pids: dict[str, int] = {}
        self.supervisor = 0
        self.url = ""

    def begin(self, *args: str) -> Drill:
        self.stack.up(*args)
        return self.look()

    def look(self) -> Drill:
        """From here on these are the processes that must not be lost."""
        snapshot = self.stack.client.status()
        self.supervisor = snapshot.pid
        self.pids = {view.name: view.pid for view in snapshot.services if view.pid}
        self.url = next((view.url or "" for view in snapshot.services if view.name == self.talker), "")
        return self

    def works(self) -> None:
        """It answers, and prints: a page of more than any pipe holds, all of it on disk when it answers."""
        before = self.stack.log(self.talker).stat().st_size
        assert get(f"{self.url}/spam?bytes=300000").status_code == 200
        assert self.stack.log(self.talker).stat().st_size - before >= 300_000

    def count(self) -> None:
        """Into the row: which processes are gone, which lines are missing."""
        self.row.processes_lost += sum(not alive(pid) for pid in self.pids.values())
        self.row.lines_lost += lines_lost(SpoolReader(self.stack.log(self.counts)))

    def end(self, *, counts: bool = True) -> None:
        if counts:
            self.count()
        self.stack.cli("down", check=0)
        self.over()

    def over(self) -> None:
        """Nothing may live now."""
        self.row.survivors += len(survivors(self.stack))


def survivors(stack: Stack) -> dict[int, str]:
    """Those who were still being started by hand (`up -d` that waits) leave by themselves."""
    for process in stack.started:
        process.wait(60)
    return stack.survivors()


def lines_lost(log: SpoolReader) -> int:
    """How many of the actor's numbered lines are missing, doubled, or cut, from the first that is kept."""
    numbers: list[int] = []
    at, rest = log.start(), b""
    while True:
        data, after = log.read_from(at, 1 << 20)
        if not data:
            break
        if after - len(data) > at:  # more than is kept was printed meanwhile: that is told, and no loss
            numbers, rest = [], data[data.index(b"\n") + 1 :]
        else:
            rest += data
        *lines, rest = rest.split(b"\n")
        at = after
        for line in lines:
            if found := NUMBERED.match(line):
                numbers.append(int(found[1]))
    assert numbers, "something was printed"
    return gaps(numbers)


def gaps(numbers: list[int]) -> int:
    """Of numbers that should follow each other; a new beginning at 0 is another attempt, not a gap."""
    lost = 0
    for before, after in itertools.pairwise(numbers):
        if after not in (before + 1, 0):
            lost += abs(after - before - 1) or 1
    return lost


def gone(pid: int, what: str = "it is gone") -> None:
    eventually(lambda: not alive(pid), what)
