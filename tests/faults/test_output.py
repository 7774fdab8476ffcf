"""Output of every kind, and whoever should read it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from launchpad.hosts.local.spool_reader import SpoolReader
from tests.e2e.conftest import Make
from tests.e2e.harness import eventually
from tests.faults.table import NUMBERED, TALKING, Drill, Row, fault, gaps, lines_lost

AREA = "output"


@fault(AREA, "a sink nobody reads", "a `file` sink on a FIFO that nobody opens; 30 pages of 300 KB; `down`")
def test_sink_hangs(make_stack: Make, row: Row) -> None:
    stack = make_stack(
        TALKING.replace("ready: /health", "ready: /health, output: [{file: stuck}, {file: good.txt}]")
    )
    stack.pipe("stuck")
    drill = Drill(stack, row).begin()
    for _ in range(30):
        drill.works()
    good = stack.folder / "good.txt"
    eventually(
        lambda: good.exists() and good.stat().st_size == stack.log("llm").stat().st_size,
        "the other sink has it",
    )
    drill.count()
    with row.recovers():
        stack.cli("down", check=0)
    drill.over()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@fault(
    AREA,
    "a sink whose reader has stopped",
    "a FIFO that was opened and is never read; 30 pages; then it is read",
)
def test_reader_stops(make_stack: Make, row: Row) -> None:
    stack = make_stack(TALKING.replace("200KB/s}", "200KB/s, output: {file: stuck}}"))
    pipe = stack.pipe("stuck")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        drill = Drill(stack, row).begin()
        for _ in range(30):
            drill.works()
        stack.cli("stop", "counts", check=0)
        stack.wait_state("counts", "idle")
        want, read = stack.log("counts").read_bytes(), bytearray()

        def all_read() -> bool:
            try:
                read.extend(os.read(reader, 1 << 20))
            except BlockingIOError:
                pass
            return len(read) >= len(want)

        with row.recovers():
            eventually(all_read, "the reader gets all of it")
        assert read == want
    finally:
        os.close(reader)
    drill.pids.pop("counts")
    drill.end()
    assert (row.processes_lost, row.lines_lost, row.survivors) == (0, 0, 0)


@fault(AREA, "binary output", "1 MB of every byte value, NULs and broken UTF-8 besides")
def test_binary(make_stack: Make, row: Row) -> None:
    stack = make_stack(f"""
        servers:
          llm:
            command: [{sys.executable}, -c, "import os, time; [os.write(1, bytes(range(256)) * 256) for _ in range(16)]; time.sleep(600)"]
            output: [console, {{file: copy.bin}}, {{jsonl: copy.jsonl}}]
    """)
    stack.up()
    want = bytes(range(256)) * 4096
    eventually(lambda: stack.log("llm").read_bytes() == want, "it is in the log")
    eventually(lambda: (stack.folder / "copy.bin").read_bytes() == want, "and in the copy")
    lines = stack.folder / "copy.jsonl"
    eventually(lambda: lines.read_bytes().count(b"\n") >= want.count(b"\n"), "as JSON")
    told = [json.loads(line)["line"] for line in lines.read_bytes().splitlines()[: want.count(b"\n")]]
    assert any("\ufffd" in line for line in told), "with a mark where it is no UTF-8"
    Drill(stack, row).look().end(counts=False)
    assert row.survivors == 0


@fault(AREA, "one line without an end", "64 MB and no newline; console, `file` and `jsonl` sink")
def test_endless_line(make_stack: Make, row: Row) -> None:
    size = 64 << 20
    stack = make_stack(f"""
        servers:
          llm:
            command: [{sys.executable}, -c, "import os, time; [os.write(1, b'x' * 65536) for _ in range({size >> 16})]; open('done', 'w'); time.sleep(600)"]
            output: [console, {{file: copy.txt}}, {{jsonl: copy.jsonl}}]
    """)
    up = stack.start("up")
    stack.wait_up()
    eventually(lambda: (stack.folder / "done").exists(), "it has printed")
    eventually(lambda: (stack.folder / "copy.txt").stat().st_size == size >> 16 << 16, "it is copied")
    grown = peak_bytes(up.pid)
    row.outcome = f"the supervisor needed {grown / 1e6:.0f} MB at most"
    assert grown < 200e6
    Drill(stack, row).look().end(counts=False)
    assert row.survivors == 0


@fault(AREA, "rotation while it prints", "600 MB of numbered lines; the log is cut under the writer")
def test_rotation_under_fire(make_stack: Make, row: Row) -> None:
    size = 600
    stack = make_stack(f"servers: {{llm: {{command: PRETEND --spam {size}MB --touch done}}}}")
    stack.up()
    eventually(lambda: (stack.folder / "done").exists(), "it has printed", 110)
    reader = SpoolReader(stack.log("llm"))
    assert reader.end() == size * 10**6
    row.lines_lost = lines_lost(reader)
    row.outcome = f"{(reader.end() - reader.start()) >> 20} MB are kept"
    Drill(stack, row).look().end(counts=False)
    assert (row.lines_lost, row.survivors) == (0, 0)


@fault(
    AREA,
    "2 GB from one service",
    "numbered lines, a `file` sink with rotation; the memory of the supervisor",
)
def test_flood(make_stack: Make, row: Row, scale: float) -> None:
    size = int(200 * scale)
    stack = make_stack(
        f"""
        servers:
          llm:
            command: PRETEND --spam {size}MB --touch done
            output: [console, {{file: copy.txt, rotate: 20MB, keep: 3}}]
        """
    )
    up = stack.start("up")
    eventually(lambda: (stack.folder / "done").exists(), "it has printed", 110)
    copies = [stack.folder / "copy.txt", *(stack.folder / f"copy.txt.{n}" for n in (1, 2, 3))]
    last = b"%09d999" % (size * 10 - 1)
    eventually(lambda: last in tail(copies[0]) or last in tail(copies[1]), "the sink has the end of it", 110)
    numbers = [
        int(found[1])
        for copy in reversed(copies)
        if copy.exists()
        for line in copy.read_bytes().splitlines()
        if (found := NUMBERED.match(line))
    ]
    row.lines_lost = gaps(numbers)
    peak = peak_bytes(up.pid)
    row.outcome = f"{size} MB; the supervisor needed {peak / 1e6:.0f} MB at most"
    assert peak < 150e6
    Drill(stack, row).look().end(counts=False)
    assert (row.lines_lost, row.survivors) == (0, 0)


def tail(path: Path) -> bytes:
    """The end of a file that may be renamed at any moment."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            return file.read()
    except FileNotFoundError:
        return b""


def peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


@fault(AREA, "`logs` over a log that was cut", "360 MB of numbered lines, then `logs -n`")
def test_logs_in_order(make_stack: Make, row: Row) -> None:
    stack = make_stack("servers: {llm: {command: PRETEND --spam 360MB --touch done}}")
    stack.up()
    eventually(lambda: (stack.folder / "done").exists(), "it has printed", 110)
    eventually(lambda: SpoolReader(stack.log("llm")).start() > 0, "it was cut")
    assert SpoolReader(stack.log("llm")).end() >= 360_000_000
    shown = stack.cli("logs", "-n", "500000", "llm", check=0, timeout=100).stdout
    numbers = [int(line[:12]) for line in shown.splitlines() if line[:12].isdigit()]
    assert len(numbers) >= 499_990
    assert numbers[-1] == 3_600_000 - 1
    row.lines_lost = gaps(numbers)
    Drill(stack, row).look().end(counts=False)
    assert (row.lines_lost, row.survivors) == (0, 0)
