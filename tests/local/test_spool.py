"""The log that a service writes itself: where it begins, how it is read, how it is cut while it grows."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launchpad.core.model import Sink
from launchpad.hosts.local import inotify, spool_cut, spool_reader
from launchpad.hosts.local.spool import Spools
from launchpad.hosts.local.spool_reader import SpoolReader
from launchpad.paths import StackPaths
from tests.local.test_sinks import PATIENCE_S, caught_up, content, numbered, paths, until, whole, write

WRITER = """
import os, sys
begin, end = int(sys.argv[1]), int(sys.argv[2])
for i in range(begin, end, 100):
    data = b"".join(b"line %07d %s\\n" % (k, b"x" * (k % 50)) for k in range(i, min(i + 100, end)))
    assert os.write(1, data) == len(data)
"""


TURN_LINES = 5000
WRITES_ON = f"""
import os
begin = 0
while os.read(0, 1):
    for i in range(begin, begin + {TURN_LINES}, 100):
        data = b"".join(b"line %07d %s\\n" % (k, b"x" * (k % 50)) for k in range(i, i + 100))
        assert os.write(1, data) == len(data)
    begin += {TURN_LINES}
"""
"""A turn for each byte of its stdin, until that is closed."""


def everything(reader: SpoolReader, block: int = 70_001) -> bytes:
    parts, at = [], 0
    while True:
        data, after = reader.read_from(at, block)
        if not data:
            return b"".join(parts)
        assert after - len(data) == at
        parts.append(data)
        at = after


def test_a_service_writes_its_log_itself(tmp_path: Path) -> None:
    async def run() -> None:
        spools = Spools(paths(tmp_path))
        descriptor, log, start = spools.open("llm")
        assert (log, start) == (paths(tmp_path).log("llm"), 0)
        assert log.stat().st_mode & 0o777 == 0o600
        assert not os.get_inheritable(descriptor)
        os.write(descriptor, b"no end")
        os.close(descriptor)
        second, _, start = spools.open("llm")
        assert start == 7, "the line that was left open is ended before the next attempt"
        assert spools.size("llm") == 7
        os.write(second, b"two\n")
        os.close(second)
        assert spools.size("llm") == 11
        assert spools.reader("llm").read_from(7, 100) == (b"two\n", 11)
        await spools.close()

    asyncio.run(run())


def test_with_null_alone_nothing_is_kept(tmp_path: Path) -> None:
    async def run() -> None:
        spools = Spools(paths(tmp_path))
        spools.route("llm", (Sink("null"),))
        descriptor, log, start = spools.open("llm")
        os.write(descriptor, b"gone\n")
        os.close(descriptor)
        assert (log, start, spools.size("llm")) == (Path("/dev/null"), 0, 0)
        assert not paths(tmp_path).log("llm").exists()
        spools.route("llm", (Sink("null"), Sink("console")))
        descriptor, log, _ = spools.open("llm")
        os.close(descriptor)
        assert log == paths(tmp_path).log("llm")
        await spools.close()

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_log_that_is_no_ordinary_file_is_refused(tmp_path: Path, kind: str) -> None:
    log = paths(tmp_path).log("llm")
    log.parent.mkdir(parents=True)
    if kind == "link":
        log.symlink_to(tmp_path / "victim")
    elif kind == "pipe":
        os.mkfifo(log)
    else:
        log.mkdir()

    async def run() -> None:
        spools = Spools(paths(tmp_path))
        with pytest.raises(OSError):
            spools.open("llm")
        await spools.close()

    asyncio.run(run())
    assert not (tmp_path / "victim").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / ".launchpad").write_text("a file in the way")
    told: list[str] = []

    async def run() -> None:
        spools = Spools(paths(tmp_path), lambda service, text: told.append(text))
        spools.route("llm", (Sink("file", "a.log"),))
        assert told == ["its output cannot be sent anywhere: Not a directory"]
        with pytest.raises(OSError):
            spools.open("llm")
        await spools.close()

    asyncio.run(run())


def test_reading_the_tail(tmp_path: Path) -> None:
    log = tmp_path / "llm.log"
    reader = SpoolReader(log)
    assert (reader.end(), reader.tail_offset(5), reader.read_from(0, 10)) == (0, 0, (b"", 0))
    log.write_bytes(b"a\nb\n\nlast")
    assert [reader.tail_offset(n) for n in range(6)] == [9, 5, 4, 2, 0, 0]
    log.write_bytes(numbered(0, 20_000))
    at = reader.tail_offset(7000)
    assert reader.read_from(at, 1 << 30)[0] == numbered(13_000, 20_000)
    log.write_bytes(b"emptied by hand\n")
    assert reader.read_from(at, 100) == (b"emptied by hand\n", 16)


class Cutter:
    """Cuts and settles the log of a live writer, again and again."""

    def __init__(self, log: Path, limit: int) -> None:
        self.log, self.limit, self.cuts, self.settled = log, limit, 0, 0

    def turn(self) -> None:
        before = spool_reader.mark(self.log)
        assert spool_cut.cut(self.log, self.limit)
        self.cuts += spool_reader.mark(self.log) != before
        if self.cuts % 2 and spool_reader.mark(self.log).hole:
            assert spool_cut.settle(self.log)
            self.settled += spool_reader.mark(self.log).hole == 0


def test_a_log_is_cut_while_it_is_written_and_no_offset_moves(tmp_path: Path) -> None:
    """A reader that keeps up sees every byte once, one that comes late the last of them. The writer is always some turns
    ahead, less than what is kept, and goes on until it was cut often enough: it matters to nobody who is the faster."""
    log = tmp_path / "llm.log"
    cutter, reader = Cutter(log, 1_000_000), SpoolReader(log)
    with open(log, "ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-c", WRITES_ON], stdin=subprocess.PIPE, stdout=out, bufsize=0
        )
    assert child.stdin is not None
    seen, at, ends, turns, deadline = bytearray(), 0, [0], 0, time.monotonic() + PATIENCE_S
    while child.poll() is None or at < reader.end():
        data, after = reader.read_from(at, 70_001)
        assert after - len(data) == at, "what was not read yet is kept"
        seen += data
        at = after
        cutter.turn()
        ends.append(reader.end())
        if (cutter.cuts >= 3 and cutter.settled >= 1) or time.monotonic() > deadline:
            child.stdin.close()
        elif seen.count(b"\n") >= (turns - 3) * TURN_LINES:
            child.stdin.write(b"t")
            turns += 1
    assert child.wait() == 0
    assert cutter.cuts >= 3, "while it was written"
    assert cutter.settled >= 1
    cutter.turn()
    count = seen.count(b"\n")
    whole = numbered(0, count)
    assert bytes(seen) == whole
    assert ends == sorted(ends), "offsets never go back"
    kept = everything_kept(reader)
    assert whole.endswith(kept)
    assert len(kept) == reader.end() - reader.start() >= 1_000_000
    assert log.stat().st_blocks * 512 < 1_200_000
    tail_at = reader.tail_offset(10_000)
    assert reader.read_from(tail_at, 1 << 30)[0] == numbered(count - 10_000, count)


@pytest.mark.parametrize("change", ["cut", "settle"])
def test_a_change_in_the_middle_of_a_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    log, data = tmp_path / "llm.log", numbered(0, 20_000)
    log.write_bytes(data)
    if change == "settle":
        assert spool_cut.cut(log, 300_000)
    pread, pending = os.pread, [True]

    def change_first(descriptor: int, size: int, at: int) -> bytes:
        if pending:
            pending.clear()
            assert spool_cut.cut(log, 100_000) if change == "cut" else spool_cut.settle(log)
        return pread(descriptor, size, at)

    monkeypatch.setattr(os, "pread", change_first)
    at = len(data) - 5000
    assert SpoolReader(log).read_from(at, 200)[0] == data[at : at + 200]
    assert not pending


def everything_kept(reader: SpoolReader) -> bytes:
    parts, at = [], reader.start()
    while data_after := reader.read_from(at, 1 << 20):
        if not data_after[0]:
            break
        parts.append(data_after[0])
        at = data_after[1]
    return b"".join(parts)


def only_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    real = spool_cut._fallocate

    def fallocate(descriptor: int, mode: int, begin: int, length: int) -> bool:
        return mode != spool_cut._COLLAPSE_RANGE and real(descriptor, mode, begin, length)

    monkeypatch.setattr(spool_cut, "_fallocate", fallocate)


def test_a_file_system_that_can_only_make_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_holes(monkeypatch)
    log, data = tmp_path / "llm.log", b""
    for part in range(3):
        more = numbered(part * 10_000, part * 10_000 + 10_000)
        data += more
        with open(log, "ab") as out:
            out.write(more)
        assert spool_cut.cut(log, 100_000)
        assert not spool_cut.settle(log)
    reader = SpoolReader(log)
    assert reader.layout().base == 0
    assert log.stat().st_blocks * 512 <= 100_000 + 3 * 4096
    assert data.endswith(everything_kept(reader))
    assert reader.end() - reader.start() >= 100_000


def test_a_file_system_that_can_do_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_cut, "_fallocate", lambda fd, mode, at, n: False)
    told: list[str] = []

    async def run() -> None:
        spools = Spools(paths(tmp_path), lambda service, text: told.append(text), limit=100_000)
        write(spools, "llm", numbered(0, 10_000))
        await until(lambda: told, "it to be told")
        assert "cannot be kept below its limit" in told[0]
        assert everything(spools.reader("llm")) == numbered(0, 10_000)
        await spools.close()

    asyncio.run(run())


def test_once_it_is_calm_the_file_has_no_hole(tmp_path: Path) -> None:
    """Whoever opens the log itself finds text; and a supervisor that left a hole behind leaves that to the next one."""
    log, data = paths(tmp_path).log("llm"), numbered(0, 20_000)

    async def life(calm_s: float, more: bytes) -> None:
        spools = Spools(paths(tmp_path), limit=200_000, calm_s=calm_s)
        assert spools.size("llm") == len(data) - len(more)
        write(spools, "llm", more)
        await until(lambda: not spool_cut.is_due(log, 200_000), "the cut")
        if calm_s < 100:
            await until(lambda: not spool_reader.mark(log).hole, "the hole to go")
        await spools.close()

    asyncio.run(life(1000.0, data))
    assert spool_reader.mark(log).hole > 0
    data += b"more\n"
    asyncio.run(life(0.0, b"more\n"))
    assert data.endswith(log.read_bytes())
    assert SpoolReader(log).end() == len(data)


@pytest.mark.parametrize("change", ["cut", "settle"])
@pytest.mark.parametrize("done", [True, False])
def test_a_change_that_a_crash_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, done: bool
) -> None:
    """Between the word that it is about to be and the word that it is."""
    log, data = tmp_path / "llm.log", numbered(0, 20_000)
    log.write_bytes(data)
    assert spool_cut.cut(log, 300_000)
    start = SpoolReader(log).start()
    with monkeypatch.context() as broken:
        crash = RuntimeError("crash")

        def dies(*_: object) -> bool:
            raise crash

        broken.setattr(spool_cut, "_settled" if done else "_fallocate", dies)
        with pytest.raises(RuntimeError, match="crash"):
            spool_cut.cut(log, 100_000) if change == "cut" else spool_cut.settle(log)
    with open(log, "ab") as out:
        out.write(b"more\n" * 100_000)
    data += b"more\n" * 100_000
    moved = change == "cut" and done
    for _ in range(2):
        reader = SpoolReader(log)
        assert (reader.start() > start) if moved else (reader.start() == start)
        assert reader.end() == len(data)
        assert everything_kept(reader) == data[reader.start() :]
        spool_cut.recover(log)
    assert not list((tmp_path / "llm.old").glob("cut.*"))
    assert spool_cut.cut(log, 50_000)
    assert data.endswith(everything_kept(SpoolReader(log)))


def test_a_log_that_was_emptied_by_hand_begins_anew(tmp_path: Path) -> None:
    log, data = tmp_path / "llm.log", numbered(0, 20_000)
    log.write_bytes(data)
    assert spool_cut.cut(log, 300_000)
    start = SpoolReader(log).start()
    os.truncate(log, 0)
    with open(log, "ab") as out:
        out.write(b"new\n" * 200_000)
    reader = SpoolReader(log)
    assert (reader.start(), reader.end()) == (start, start + 800_000)
    assert spool_cut.settle(log)
    assert everything_kept(reader) == b"new\n" * 200_000
    assert spool_cut.cut(log, 100_000)
    assert (b"new\n" * 200_000).endswith(everything_kept(reader))


def test_the_whole_is_bounded_and_a_sink_that_came_too_late_counts_what_it_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = tmp_path / "stuck"
    os.mkfifo(stuck)

    async def run() -> None:
        spools = Spools(paths(tmp_path), limit=800_000)
        spools.route("llm", (Sink("file", "stuck"), Sink("file", "good.log")))
        folder = paths(tmp_path).logs_dir
        for part in range(40):
            write(spools, "llm", numbered(part * 2000, part * 2000 + 2000))
            await until(lambda: not spool_cut.is_due(folder / "llm.log", 800_000), "the cut")
            await caught_up_one(spools, 1)
        kept = sum(p.stat().st_blocks * 512 for p in [*folder.glob("*.log"), *folder.glob("llm.old/*")])
        assert kept <= 1_100_000
        assert len(list(folder.glob("llm.old/*"))) == 1
        assert spools.size("llm") == len(numbered(0, 80_000))
        reader = spools.reader("llm")
        data, after = reader.read_from(0, 100)
        assert after - len(data) == reader.start() > 0
        descriptor = os.open(stuck, os.O_RDONLY | os.O_NONBLOCK)
        got = bytearray()
        spools._sinks["llm"][("file", "stuck")]._try_again()

        def drained() -> bool:
            try:
                got.extend(os.read(descriptor, 1 << 20))
            except BlockingIOError:
                pass
            return spools.sinks("llm")[0].behind == 0

        await until(drained, "the rest to come")
        drained()
        os.close(descriptor)
        late = spools.sinks("llm")[0]
        assert late.skipped == reader.start()
        assert numbered(0, 80_000).endswith(bytes(got))
        assert late.skipped + len(got) == reader.end()
        await spools.close()

    asyncio.run(asyncio.wait_for(run(), 90))
    assert (tmp_path / "good.log").read_bytes() == numbered(0, 80_000)


async def caught_up_one(spools: Spools, index: int) -> None:
    await until(lambda: spools.sinks("llm")[index].behind == 0, "the good sink to catch up")


def test_cuts_and_sinks_and_restarts_together(tmp_path: Path) -> None:
    """All that is printed in one life fits into the limit: with less, a sink that a busy machine holds up for longer
    than the writer takes comes too late for what is beyond it, and rightly says so."""

    async def life(begin: int, end: int) -> None:
        spools = Spools(paths(tmp_path), limit=2_200_000)
        spools.route("llm", (Sink("file", "a.log", rotate=300_000, keep=99),))
        descriptor, _, _ = spools.open("llm")
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(begin), str(end)], stdout=descriptor)
        os.close(descriptor)
        assert await asyncio.to_thread(child.wait, 60) == 0
        await caught_up(spools, "llm")
        assert [sink.skipped for sink in spools.sinks("llm")] == [0]
        await spools.close()

    asyncio.run(life(0, 60_000))
    asyncio.run(life(60_000, 120_000))
    log = paths(tmp_path).log("llm")
    assert SpoolReader(log).start() > 0, "it was cut"
    assert SpoolReader(log).end() == len(numbered(0, 120_000))
    assert whole(tmp_path / "a.log") == numbered(0, 120_000)


def test_p1_a_child_goes_on_writing_while_its_supervisor_stands_still(tmp_path: Path) -> None:
    supervisor = f"""
import asyncio, os, subprocess, sys
from pathlib import Path
from launchpad.core.model import Sink
from launchpad.hosts.local.spool import Spools
from launchpad.paths import StackPaths
async def main():
    spools = Spools(StackPaths(Path({str(tmp_path)!r}) / "stack.yaml"))
    spools.route("llm", (Sink("file", "a.log"),))
    descriptor, _, _ = spools.open("llm")
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1], "0", "100000"], stdout=descriptor, stdin=subprocess.PIPE)
    print(child.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    log = StackPaths(tmp_path / "stack.yaml").log("llm")
    code = "import sys; sys.stdin.read(1)\n" + WRITER
    with subprocess.Popen([sys.executable, "-c", supervisor, code], stdout=subprocess.PIPE) as one:
        try:
            assert one.stdout is not None
            child = int(one.stdout.readline())
            one.send_signal(signal.SIGSTOP)
            with open(f"/proc/{child}/fd/0", "wb", buffering=0) as stdin:
                stdin.write(b"g")
            deadline = time.monotonic() + 30
            while log.stat().st_size < len(numbered(0, 100_000)):
                assert time.monotonic() < deadline, "the child stands still"
                time.sleep(0.01)  # the log grows at the child's own pace
        finally:
            one.kill()


def test_without_inotify_sinks_are_fed_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: inotify.Inotify) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(inotify.Inotify, "__init__", missing)

    async def run() -> None:
        spools = Spools(paths(tmp_path))
        spools.route("llm", (Sink("file", "a.log"),))
        write(spools, "llm", b"one\n")
        await until(
            lambda: content(tmp_path / "a.log") == b"one\n",
            "the line",
        )
        await spools.close()

    asyncio.run(run())


def test_a_route_that_is_asked_for_again_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every applied edit asks for the routes of all services; one that failed is tried again."""

    async def run() -> None:
        told: list[str] = []
        spools = Spools(paths(tmp_path), lambda service, text: told.append(text))
        made: list[str] = []
        make = Spools._route

        def counting(self: Spools, service: str, sinks: tuple[Sink, ...]) -> None:
            made.append(service)
            if len(made) == 1:
                raise OSError(28, "No space left on device")
            make(self, service, sinks)

        monkeypatch.setattr(Spools, "_route", counting)
        file = Sink("file", "a.log")
        for sinks in ((file,), (file,), (file,), (), (), (file,)):
            spools.route("llm", sinks)
        assert len(told) == 1
        assert len(made) == 4, "a failure, its repetition, the end of the sink, the sink again"
        assert len(spools.sinks("llm")) == 1
        await spools.close()

    asyncio.run(run())
