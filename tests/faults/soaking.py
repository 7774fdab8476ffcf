"""Everything at once against one live stack, for a time, with an oracle that says what must run after each burst.

Edits are those of `tests/e2e/test_reload_random.py`; services are killed and stopped, the supervisor is stopped for
moments, clients connect and say nothing, logs are flooded. What is not touched keeps its process and its lines.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections import Counter
from pathlib import Path

from msgspec import Struct, field

from launchpad.hosts.local.spool_reader import SpoolReader
from tests.e2e.harness import PRETEND, Stack, alive, eventually, rss_bytes, wait_a_little
from tests.e2e.test_reload_random import NAMES, Editor, Wanted
from tests.faults.table import gone, lines_lost

AGAIN = "restart: always, max_restarts: 100000, window: 1h, backoff: {initial: 10ms, max: 50ms}"
GROWTH_BYTES = 60e6


class Wild(Wanted):
    """The editable services, and some that are always there."""

    def text(self) -> str:
        lines = [f"# {self.comment}", "servers:"]
        lines += [
            f"  {name}: {{command: {PRETEND} --name {name}, environment: {{MARK: '{mark}'}}, {AGAIN}}}"
            for name, mark in self.marks.items()
        ]
        lines += [
            f"  counts: {{command: {PRETEND} --spam-rate 2MB/s, output: {{file: counts.txt, rotate: 5MB, keep: 2}}}}",
            f"  crashes: {{command: {PRETEND} --spam 2MB --exit 1, {AGAIN}}}",
            f"  serves: {{command: '{PRETEND} --port ${{self.port}}', port: auto, ready: /health}}",
        ]
        return "\n".join([*lines, "x-end: here", ""])


class Soak(Struct, dict=True):
    """`run` until the time is over; `done` counts what was done, `lost` what may not be."""

    stack: Stack
    dice: random.Random
    done: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    silent: list[socket.socket] = field(default_factory=list)
    peak: float = 0.0

    def __post_init__(self) -> None:
        self.editor = Editor(self.stack, self.dice)
        self.editor.wanted = Wild(dict.fromkeys(NAMES, 0))
        self.stack.file.write_text(self.editor.wanted.text())
        self.touched: set[str] = set()

    def run(self, seconds: float) -> None:
        self.stack.start("up", "-d")
        self.supervisor = self.stack.wait_for(lambda s: len(self.pids(s.services)) >= 8).pid
        before, begun = self.oracle(), time.monotonic()
        self.small = rss_bytes(self.supervisor)
        until = begun + seconds
        while time.monotonic() < until:
            asked, self.touched = dict(self.editor.wanted.marks), set()
            for _ in range(self.dice.choice((1, 1, 2, 4, 8))):
                self.act()
                self.editor.pause()
            after = self.oracle()
            self.compare(before, after, asked)
            before = after
        self.end()

    def act(self) -> None:
        kinds = [self.edit, self.edit, self.edit, self.kill, self.kill, self.freeze, self.stop_supervisor]
        kinds += [self.say_nothing, self.restart, self.ask]
        chosen = self.dice.choice(kinds)
        chosen()
        self.done[chosen.__name__.replace("_", " ")] += 1

    def edit(self) -> None:
        before = dict(self.editor.wanted.marks)
        self.editor.edit()
        now = self.editor.wanted.marks
        self.touched |= {name for name in NAMES if before.get(name) != now.get(name)}

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def freeze(self) -> None:
        pid = self.send(signal.SIGSTOP)
        self.editor.pause()
        if pid is not None and alive(pid):
            os.kill(pid, signal.SIGCONT)

    def send(self, number: int) -> int | None:
        views = [v for v in self.stack.client.status().services if v.pid and v.name in NAMES]
        if not views:
            return None
        view = self.dice.choice(views)
        assert view.pid
        if number == signal.SIGKILL:
            self.touched.add(view.name)
        try:
            os.kill(view.pid, number)
        except ProcessLookupError:
            return None
        if number == signal.SIGKILL:  # on a busy machine it takes a moment to die, and looks well until then
            gone(view.pid)
        return view.pid

    def stop_supervisor(self) -> None:
        os.kill(self.supervisor, signal.SIGSTOP)
        self.editor.pause()
        os.kill(self.supervisor, signal.SIGCONT)

    def say_nothing(self) -> None:
        one = socket.socket(socket.AF_UNIX)
        one.connect(str(self.stack.client.socket_path))
        one.send(self.dice.choice([b"G", b"POST /v1/stop HTTP/1.1\r\n", b"\0\xff"]))
        self.silent.append(one)
        if len(self.silent) > 50:
            self.silent.pop(0).close()

    def restart(self) -> None:
        names = [name for name in self.editor.wanted.marks if name in NAMES]
        name = self.dice.choice(names)
        self.touched.add(name)
        self.stack.client.restart([name])

    def ask(self) -> None:
        self.stack.cli(
            *self.dice.choice((["ps", "--json"], ["logs", "-n", "5"], ["events", "--json"], ["diff"]))
        )

    @staticmethod
    def pids(services: object) -> dict[str, int]:
        return {v.name: v.pid for v in services if v.pid and v.state == "ready"}  # type: ignore[attr-defined]

    def oracle(self) -> dict[str, int]:
        """The pids, once what the file says runs, each with the environment of its latest edit."""
        want = dict(self.editor.wanted.marks)

        def settled() -> dict[str, int]:
            pids = self.pids(self.stack.client.status().services)
            is_so = {name: mark_of(pid) for name, pid in pids.items() if name in NAMES} == want
            return pids if is_so and {"counts", "serves"} <= pids.keys() else {}

        found: dict[str, int] = eventually(settled, f"what the file says runs: {want}", 60)
        self.peak = max(self.peak, rss_bytes(self.supervisor))
        return found

    def compare(self, before: dict[str, int], after: dict[str, int], asked: dict[str, int]) -> None:
        self.done["bursts"] += 1
        for name, pid in before.items():
            same = asked.get(name) == self.editor.wanted.marks.get(name) and name not in self.touched
            if (name in ("counts", "serves") or (name in NAMES and same)) and after.get(name) != pid:
                self.lost["processes"] += 1
                print(
                    f"{name}: pid {pid}, then {after.get(name)}, and nobody touched it\n{self.journal(name)}"
                )

    def journal(self, name: str) -> str:
        events = [event for event in self.stack.events() if event["service"] in (name, "")]
        return "\n".join(
            f"  {e['at']:.3f} {e['service']} {e['what']} {e['text']}"[:200] for e in events[-20:]
        )

    def end(self) -> None:
        for one in self.silent:
            one.close()
        self.lost["lines"] += lines_lost(SpoolReader(self.stack.log("counts")))
        status = self.stack.client.status()
        self.lost["supervisors"] += int(status.pid != self.supervisor)
        self.done["restarts of `crashes`"] = next(v.restarts for v in status.services if v.name == "crashes")
        descriptors = len(os.listdir(f"/proc/{self.supervisor}/fd"))
        log = (self.stack.folder / ".launchpad/stack.yaml/supervisor.log").read_text()
        self.lost["tracebacks"] += log.count("Traceback")
        self.stack.cli("down", check=0)
        for process in self.stack.started:
            process.wait(60)
        until = time.monotonic() + 5
        while self.stack.survivors() and time.monotonic() < until:
            wait_a_little()
        self.lost["survivors"] += len(self.stack.survivors())
        self.grown = self.peak - self.small
        self.lost["memory"] += int(self.grown > GROWTH_BYTES)
        self.done["descriptors at the end"] = descriptors
        self.lost["descriptors"] += int(descriptors > 150)


def mark_of(pid: int) -> int:
    try:
        parts = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return -1
    return int(next((part[5:] for part in parts if part.startswith(b"MARK=")), b"-1"))
