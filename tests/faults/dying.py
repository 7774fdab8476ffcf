"""Supervisors that are killed at random moments of a stack's life, and a look at what is there before and after."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import threading

from launchpad.hosts.local import process, records
from launchpad.hosts.local.spool_reader import SpoolReader
from tests.e2e.deaths import eventually_nothing, kill_holders, mains, paths_of, pids, record_of
from tests.e2e.harness import PRETEND, Stack, eventually
from tests.faults.table import NUMBERED, Row, gaps

STACK = f"""
servers:
  base: {{command: "{PRETEND} --port ${{self.port}} --name base", port: auto, ready: /health, environment: {{N: "0"}}}}
  deaf: {{command: "{PRETEND} --ignore-term --fork setsid --name deaf", stop_grace: 100ms}}
  slow: {{command: "{PRETEND} --port ${{self.port}} --ready-after 100ms --name slow", port: auto, ready: /health, depends_on: [base]}}
  bound: {{command: "{PRETEND} --name bound", depends_on: {{base: {{restart: true}}}}}}
  counts: {{command: "{PRETEND} --spam-rate 300KB/s", output: {{file: counts.txt, rotate: 100KB, keep: 4}}}}
jobs:
  short: {{command: "{PRETEND} --exit 0 --after 50ms --name short"}}
  long: {{command: "{PRETEND} --name long", depends_on: [short]}}
"""
LASTING = ("base", "deaf", "slow", "bound", "counts", "long")
KEPT = 1_000_000
"""More bytes than the sink of `counts` keeps."""
OF_BASE = ("base", "slow", "bound")


class Deaths:
    """`round` again and again; what may not be is counted in the row, and raised at once. The sink of `counts` is
    rotated three times a second, so that every third death or so falls into a rotation."""

    def __init__(self, stack: Stack, seed: str, row: Row) -> None:
        self.stack, self.dice, self.row = stack, random.Random(seed), row
        self.row.tries = 0
        self.touched: tuple[str, ...] = ()
        self.doing = ""

    def round(self, *, then_up: bool) -> None:
        """One death, and what comes after it: `up`, or `down`."""
        self.row.tries += 1
        self.touched = ()
        doing = self.dice.choice(
            (self._start, self._start, self._reload, self._stop, self._down, self._quiet)
        )
        self.doing = f"round {self.row.tries}, {doing.__name__}"
        doing()
        self._check_twins()
        if then_up:
            self._up_again()
        else:
            self._down_again()

    # --- at what moment ------------------------------------------------------------------------------

    def _start(self) -> None:
        up = self.stack.start("up") if self.dice.random() < 0.5 else self.stack.start("up", "-d")
        self._pause(0.9)
        self._kill(up)

    def _quiet(self) -> None:
        self.stack.cli("up", "-d", check=None)
        self._pause(0.3)
        self._kill(None)

    def _reload(self) -> None:
        self.stack.cli("up", "-d", check=None)
        text = self.stack.file.read_text()
        number = self.dice.randrange(1 << 30)
        self.touched = ("base", "bound")
        self.stack.file.write_text(re.sub(r'N: "\d+"', f'N: "{number}"', text))
        self._pause(0.4)
        self._kill(None)

    def _stop(self) -> None:
        self.stack.cli("up", "-d", check=None)
        name = self.dice.choice(("base", "deaf", "bound"))
        self.touched = OF_BASE if name == "base" else (name,)
        one = self.stack.start(self.dice.choice(("stop", "restart")), name, "--no-wait")
        self._pause(0.5)
        self._kill(one)

    def _down(self) -> None:
        self.stack.cli("up", "-d", check=None)
        down = self.stack.start("down")
        self._pause(0.6)
        self._kill(down)

    def _pause(self, most_s: float) -> None:
        threading.Event().wait(self.dice.random() * most_s)

    def _kill(self, command: subprocess.Popen[str] | None) -> None:
        """The supervisor; and the command that was at it, which may just have become one."""
        if command is not None:
            command.kill()
            command.wait()
        kill_holders(self.stack)

    # --- what is there afterwards --------------------------------------------------------------------

    def _check_twins(self) -> None:
        found = mains(self.stack)
        twins = {name: several for name, several in found.items() if len(several) > 1 and name != "deaf"}
        assert not twins, f"{self.doing}: {twins}"

    def _running(self) -> dict[str, int]:
        """Service → pid, of what runs and was not asked to end, and has no reason to."""
        found = {one.service: one for one in records.open_records(paths_of(self.stack))}
        return {
            name: one.handle.pid
            for name, one in found.items()
            if one.handle and not one.leaving and name not in self.touched and process.alive(one.handle)
        }

    def _up_again(self) -> None:
        """All that is wanted runs, once, and nothing else does; what ran, runs on."""
        before = self._running()
        with self.row.recovers():
            self.stack.cli("up", "-d", *LASTING, check=0)
        status = self.stack.client.status()
        assert status.phase == "up", f"{self.doing}: {status}"
        eventually(
            lambda: len(mains(self.stack).get("deaf", ())) > 1, f"{self.doing}: the deaf one has forked"
        )
        known, found = pids(self.stack), mains(self.stack)
        assert set(known) == set(LASTING), f"{self.doing}: {known}"
        self._check_orphans(known, found)
        lasting = {name: pid for name, pid in before.items() if name in LASTING}
        lost = {name: (pid, known[name]) for name, pid in lasting.items() if known[name] != pid}
        self.row.processes_lost += len(lost)
        assert not lost, f"{self.doing}: {lost}"
        self._check_lines()

    def _check_orphans(self, known: dict[str, int], found: dict[str, list[int]]) -> None:
        for name, pid in known.items():
            others = [one for one in found[name] if one != pid]
            self.row.survivors += max(0, len(others) - (name == "deaf"))
            assert len(others) == (name == "deaf"), f"{self.doing}: {name} {pid} {found}"
        mine = {pid for found_of in found.values() for pid in found_of}
        rest = {pid: text for pid, text in self.stack.survivors().items() if pid not in mine}
        assert len(rest) == 2, f"{self.doing}: supervisor and keeper, and {rest}"

    def _check_lines(self) -> None:
        """All that `counts` has printed is in its log, and what its sink keeps is a piece of that, with no seam."""
        record = record_of(self.stack, "counts")
        assert record.handle
        os.kill(record.handle.pid, signal.SIGSTOP)
        try:
            log = SpoolReader(self.stack.log("counts"))
            printed = _all_from(log, record.log_start)
            before = _all_from(log, max(log.start(), record.log_start - KEPT))[: -len(printed)]
            eventually(lambda: self._sink().endswith(printed[-1000:]), "the sink follows")
            whole = self._sink() in before + printed
        finally:
            os.kill(record.handle.pid, signal.SIGCONT)
        numbers = [int(found[1]) for line in printed.split(b"\n") if (found := NUMBERED.match(line))]
        lost = gaps([-1, *numbers])
        self.row.lines_lost += lost
        assert not lost, f"{self.doing}: {lost} of {len(numbers)} lines"
        assert whole, f"{self.doing}: the sink has what the log has not"

    def _sink(self) -> bytes:
        files = [self.stack.folder / f"counts.txt{end}" for end in (".4", ".3", ".2", ".1", "")]
        return b"".join(file.read_bytes() for file in files if file.exists())

    def _down_again(self) -> None:
        with self.row.recovers():
            self.stack.cli("down", check=0)
        left = eventually_nothing(self.stack)
        self.row.survivors += len(left)
        assert not left, f"{self.doing}: {left}"
        assert not records.read_records(paths_of(self.stack))


def _all_from(log: SpoolReader, at: int) -> bytes:
    found = b""
    while data := log.read_from(at, 1 << 22)[0]:
        found, at = found + data, at + len(data)
    return found
