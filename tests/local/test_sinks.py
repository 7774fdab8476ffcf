"""Sinks: nothing lost, split or doubled, and a stuck one holds up nobody."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchpad.core.model import Sink
from launchpad.hosts.local.sinks_file import FileTarget
from launchpad.hosts.local.sinks_format import BLOCK, LONGEST_LINE, Json, Raw, _lines
from launchpad.hosts.local.sinks_pool import Pool
from launchpad.hosts.local.spool import Spools
from launchpad.paths import StackPaths

PATIENCE_S = 30.0


def paths(folder: Path) -> StackPaths:
    return StackPaths(folder / "stack.yaml")


async def until(look: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not look():
            await asyncio.sleep(0.01)  # a sink tells nobody that it has caught up
    assert look(), what


async def caught_up(spools: Spools, service: str) -> None:
    await until(lambda: all(s.behind == 0 for s in spools.sinks(service)), "the sinks to catch up")


def write(spools: Spools, service: str, data: bytes) -> None:
    descriptor, _, _ = spools.open(service)
    os.write(descriptor, data)
    os.close(descriptor)


def numbered(begin: int, end: int) -> bytes:
    return b"".join(b"line %07d %s\n" % (i, b"x" * (i % 50)) for i in range(begin, end))


def content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def whole(path: Path) -> bytes:
    """The file with its old ones before it, oldest first."""
    old = sorted(path.parent.glob(f"{path.name}.*"), key=lambda p: -int(p.name.rsplit(".", 1)[1]))
    return b"".join(content(part) for part in [*old, path])


def test_200000_lines_of_a_child_through_rotation(tmp_path: Path) -> None:
    count = 200_000
    code = (
        "import sys, os\n"
        f"for i in range({count}):\n"
        "    sys.stdout.write('line %07d %s\\n' % (i, 'x' * (i % 50)))\n"
        "    if i % 997 == 0: sys.stdout.flush()\n"
    )

    async def run() -> None:
        spools = Spools(paths(tmp_path))
        spools.route(
            "llm", (Sink("file", "logs/deep/llm.log", rotate=500_000, keep=100), Sink("jsonl", "llm.jsonl"))
        )
        descriptor, _, start = spools.open("llm")
        assert start == 0
        child = subprocess.Popen([sys.executable, "-c", code], stdout=descriptor, stderr=descriptor)
        os.close(descriptor)
        assert await asyncio.to_thread(child.wait, 60) == 0
        await caught_up(spools, "llm")
        await spools.close()

    asyncio.run(run())
    target = tmp_path / "logs" / "deep" / "llm.log"
    parts = [target, *target.parent.glob("llm.log.*")]
    assert len(parts) > 15
    assert all(part.read_bytes().endswith(b"\n") and part.stat().st_size <= 500_000 for part in parts)
    assert whole(target) == numbered(0, count)
    lines = [json.loads(line) for line in (tmp_path / "llm.jsonl").read_text().splitlines()]
    assert "".join(line["line"] + "\n" for line in lines).encode() == numbered(0, count)
    assert set(lines[0]) == {"time", "service", "line"}
    assert lines[0]["service"] == "llm"
    assert len(lines[0]["time"]) == len("2026-11-22T13:00:00.000Z")
    assert lines[0]["time"].endswith("Z")


def test_only_so_many_old_files_are_kept(tmp_path: Path) -> None:
    async def run() -> None:
        spools = Spools(paths(tmp_path))
        spools.route(
            "llm", (Sink("file", "a.log", rotate=1000, keep=2), Sink("file", "b.log", rotate=1000, keep=0))
        )
        write(spools, "llm", numbered(0, 1000))
        await caught_up(spools, "llm")
        await spools.close()

    asyncio.run(run())
    assert sorted(p.name for p in tmp_path.glob("*.log*")) == ["a.log", "a.log.1", "a.log.2", "b.log"]
    assert numbered(0, 1000).endswith(whole(tmp_path / "a.log"))


def test_lines_longer_than_a_file_and_progress_bars_without_end(tmp_path: Path) -> None:
    data = b"a\n" + b"b" * 500 + b"\nc\n" + b"\r".join(b"%3d%%" % i for i in range(100)) + b"\n"

    async def run() -> None:
        spools = Spools(paths(tmp_path))
        spools.route("llm", (Sink("file", "a.log", rotate=100, keep=50),))
        descriptor, _, _ = spools.open("llm")
        for at in range(0, len(data), 70):
            os.write(descriptor, data[at : at + 70])
            await caught_up(spools, "llm")
        os.close(descriptor)
        await spools.close()

    asyncio.run(run())
    assert whole(tmp_path / "a.log") == data
    parts = [p.read_bytes() for p in tmp_path.glob("a.log*")]
    assert max(len(part) for part in parts) < 700
    assert len(parts) >= 5
    assert all(part.endswith((b"\n", b"\r")) for part in parts)


def test_json_lines_with_odd_bytes(tmp_path: Path) -> None:
    data = (
        b'quote " back \\ tab\t\n\ncaf\xc3\xa9 \xff\r\n 10%\r 20%\r\r30%\nmark \xe2\x80\xa8 \x1b[1m\x00\nrest'
    )

    async def run() -> None:
        spools = Spools(paths(tmp_path))
        spools.route("llm", (Sink("jsonl", "a.jsonl"),))
        write(spools, "llm", data)
        await until(
            lambda: b"mark" in content(tmp_path / "a.jsonl"),
            "lines",
        )
        spools.route("llm", ())
        await until(lambda: b"rest" in content(tmp_path / "a.jsonl"), "what had no end, as the sink goes")
        await spools.close()

    asyncio.run(run())
    lines = [json.loads(line)["line"] for line in (tmp_path / "a.jsonl").read_bytes().split(b"\n") if line]
    assert lines == [
        'quote " back \\ tab\t',
        "",
        "café �",
        " 10%",
        " 20%",
        "30%",
        "mark \u2028 \x1b[1m\0",
        "rest",
    ]


def test_how_much_of_a_piece_can_be_written_yet(tmp_path: Path) -> None:
    target = FileTarget(tmp_path / "a.log", 0, 0)
    raw, form = Raw(target), Json("llm")
    target.users = 1
    assert raw.take(b"one\ntw", False) == (b"one\ntw", 6)
    target.users = 2
    assert raw.take(b"one\ntw", False) == (b"one\n", 4)
    assert raw.take(b"tw", False) == (b"", 0)
    assert raw.take(b"tw", True) == (b"tw", 2)
    assert form.take(b"a\nb\r", False)[1] == 2, "it may be half of a line's end"
    assert form.take(b"b\r\n", False)[1] == 3
    assert form.take(b"b\rc", False)[1] == 2


JSON_PIECES = [
    b"plain",
    b'"',
    b"\\",
    b"\\n",
    b"\t",
    b"\x1b[1m",
    b"\0",
    b"\x7f",
    b"\r",
    b"\xe2\x82\xac",
    b"\xe2\x82",
    b"\xff",
    b"\n",
]


@pytest.mark.parametrize("odd", JSON_PIECES)
@given(numbers=st.lists(st.integers(0, 2), max_size=9), last=st.booleans())
def test_many_lines_at_once_are_what_each_of_them_is(odd: bytes, numbers: list[int], last: bool) -> None:
    """What nothing has to be done for is made into objects a block at a time."""
    data = b"".join((b"plain", b"\n", odd)[number] for number in numbers)
    found, taken = Json("llm").take(data, last)
    alone, taken_alone, at = [], 0, 0
    for end in [at + 1 for at, byte in enumerate(data) if byte == 10]:
        lines, size = _lines(data[at:end], False)
        assert size == end - at
        alone, taken_alone, at = alone + lines, taken_alone + size, end
    lines, size = _lines(data[at:], last)
    assert taken == taken_alone + size
    objects = [json.loads(line) for line in found.split(b"\n")[:-1]]
    assert [one["line"] for one in objects] == [line.decode(errors="replace") for line in alone + lines]
    assert all(one["service"] == "llm" and list(one) == ["time", "service", "line"] for one in objects)


def test_what_comes_after_a_silence_is_not_cut_within_a_line() -> None:
    """A sink that looks in vain a few times once took the next block for a line of a mebibyte."""
    form = Json("llm")
    for _ in range(5):
        assert form.take(b"", False) == (b"", 0)
    assert form.block == BLOCK
    data = (b"x" * 99 + b"\n") * 11_000
    written, taken = form.take(data[: LONGEST_LINE + 50], False)
    assert taken == (LONGEST_LINE + 50) // 100 * 100
    assert all(json.loads(line)["line"] == "x" * 99 for line in written.splitlines())


def test_a_line_without_end_is_cut_at_a_mebibyte() -> None:
    form, data = Json("llm"), b"x" * (3 << 20)
    taken_all, blocks = 0, 0
    while taken_all < len(data) and blocks < 40:
        _, taken = form.take(data[taken_all : taken_all + form.block], False)
        taken_all += taken
        blocks += 1
    assert taken_all == len(data)


def test_places_survive_a_restart(tmp_path: Path) -> None:
    sinks = (Sink("file", "a.log", rotate=20_000, keep=50), Sink("jsonl", "a.jsonl"))

    async def life(begin: int, end: int) -> None:
        spools = Spools(paths(tmp_path))
        spools.route("llm", sinks)
        write(spools, "llm", numbered(begin, end))
        await spools.close()

    asyncio.run(life(0, 1000))
    # printed while no supervisor was there
    with open(paths(tmp_path).log("llm"), "ab") as log:
        log.write(numbered(1000, 2000))
    asyncio.run(life(2000, 3000))
    assert whole(tmp_path / "a.log") == numbered(0, 3000)
    lines = [json.loads(line)["line"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines == numbered(0, 3000).decode().splitlines()
    for place in (paths(tmp_path).state_dir / "sinks").iterdir():
        assert place.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("supervisors", [1, 3])
def test_a_sink_that_was_away_begins_anew(tmp_path: Path, supervisors: int) -> None:
    """What was printed while the stack did not name it is not copied later on; that of others is not forgotten with it."""
    sinks, other = (Sink("file", "a.log"),), (Sink("file", "b.log"),)
    steps = [(sinks, 0), ((), 1000), (sinks, 2000)]

    async def life(steps: list[tuple[tuple[Sink, ...], int]]) -> None:
        spools = Spools(paths(tmp_path))
        for wanted, begin in steps:
            spools.route("llm", wanted)
            spools.route("web", other)
            for name in ("llm", "web"):
                write(spools, name, numbered(begin, begin + 1000))
            await caught_up(spools, "web")
            if wanted:
                await caught_up(spools, "llm")
            else:
                await until(lambda: not spools._leaving, "the sink to leave")
        await spools.close()

    for part in [steps] if supervisors == 1 else [[step] for step in steps]:
        asyncio.run(life(part))
    assert whole(tmp_path / "a.log") == numbered(0, 1000) + numbered(2000, 3000)
    assert whole(tmp_path / "b.log") == numbered(0, 3000)


@pytest.mark.parametrize("rotate", [0, 3_000])
def test_a_killed_supervisor_doubles_nothing(tmp_path: Path, rotate: int) -> None:
    """Its places are as old as the last save; what was copied after that is recognised."""
    sinks = (Sink("file", "a.log", rotate=rotate, keep=50), Sink("jsonl", "a.jsonl"))
    places = paths(tmp_path).state_dir / "sinks"
    step = 50 if rotate else 500

    async def life(begin: int, end: int, *, killed: bool) -> None:
        spools = Spools(paths(tmp_path))
        spools.route("llm", sinks)
        write(spools, "llm", numbered(begin, end))
        await caught_up(spools, "llm")
        saved = {place: place.read_bytes() for place in places.glob("*.json")} if killed else {}
        write(spools, "llm", numbered(end, end + step))
        await caught_up(spools, "llm")
        await spools.close()
        for place, content in saved.items():
            place.write_bytes(content)

    asyncio.run(life(0, 300, killed=False))
    asyncio.run(life(300 + step, 600 + step, killed=True))
    asyncio.run(life(600 + 2 * step, 601 + 2 * step, killed=False))
    assert whole(tmp_path / "a.log") == numbered(0, 601 + 3 * step)
    lines = [json.loads(line)["line"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines == numbered(0, 601 + 3 * step).decode().splitlines()


def test_a_new_sink_begins_now_and_one_that_goes_gets_what_was_printed(tmp_path: Path) -> None:
    async def run() -> None:
        spools = Spools(paths(tmp_path))
        spools.route("llm", (Sink("file", "a.log"),))
        write(spools, "llm", b"one\n")
        spools.route("llm", (Sink("file", "b.log"),))
        write(spools, "llm", b"two\n")
        await until(lambda: content(tmp_path / "b.log") == b"two\n", "two")
        await until(lambda: content(tmp_path / "a.log") == b"one\n", "one")
        await until(
            lambda: len(list((paths(tmp_path).state_dir / "sinks").glob("*.json"))) == 1, "the place to go"
        )
        spools.route("llm", (Sink("file", "b.log"), Sink("file", "a.log")))
        write(spools, "llm", b"three\n")
        await caught_up(spools, "llm")
        await spools.close()

    asyncio.run(run())
    assert (tmp_path / "a.log").read_bytes() == b"one\nthree\n"
    assert (tmp_path / "b.log").read_bytes() == b"two\nthree\n"


def test_services_that_share_a_file_take_turns_by_lines(tmp_path: Path) -> None:
    async def run() -> None:
        spools = Spools(paths(tmp_path))
        names = ("a", "b", "c")
        for name in names:
            spools.route(name, (Sink("file", "all.log", rotate=10_000, keep=99),))
        files = {name: spools.open(name)[0] for name in names}
        for i in range(300):
            for name, descriptor in files.items():
                os.write(descriptor, f"{name} {i:05d} ".encode())
                await asyncio.sleep(0)  # gives the sinks a turn within the line
                os.write(descriptor, b"end\n")
        for name, descriptor in files.items():
            os.close(descriptor)
            await caught_up(spools, name)
        await spools.close()

    asyncio.run(run())
    lines = whole(tmp_path / "all.log").decode().splitlines()
    for name in ("a", "b", "c"):
        assert [line for line in lines if line.startswith(name)] == [
            f"{name} {i:05d} end" for i in range(300)
        ]
    assert len(lines) == 900


def test_p1_a_stuck_sink_delays_neither_another_nor_the_loop(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "stuck")
    reader = os.open(tmp_path / "stuck", os.O_RDONLY | os.O_NONBLOCK)
    os.mkfifo(tmp_path / "alone")
    told: list[tuple[str, str]] = []

    async def run() -> None:
        spools = Spools(paths(tmp_path), lambda service, text: told.append((service, text)))
        spools.route("llm", (Sink("file", "stuck"), Sink("file", "alone"), Sink("file", "good.log")))
        write(spools, "llm", numbered(0, 20_000))
        await until(lambda: whole(tmp_path / "good.log") == numbered(0, 20_000), "the good one")
        await until(lambda: len(told) == 2, "the problems")
        assert {service for service, _ in told} == {"llm"}
        assert any("`stuck`: its reader is too slow" in text for _, text in told)
        assert any("`alone`: nobody reads it" in text for _, text in told)
        got = b""
        while len(got) < len(numbered(0, 20_000)):
            try:
                got += os.read(reader, 1 << 20)
            except BlockingIOError:
                await asyncio.sleep(0.005)  # the sink tries again in its own time
        assert got == numbered(0, 20_000), "once it is read it gets everything"
        await until(lambda: ("llm", "`stuck` is written again") in told, "that it is well again")
        await spools.close()

    asyncio.run(asyncio.wait_for(run(), 60))
    os.close(reader)


def test_p1_a_write_that_never_returns_holds_up_only_its_own_sink(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead network disk: the kernel does not come back from the write."""
    come_back = threading.Event()
    real = FileTarget.write

    def hang(self: FileTarget, data: bytes) -> int:
        if self.path.name == "nfs.log":
            come_back.wait(60)
        return real(self, data)

    monkeypatch.setattr(FileTarget, "write", hang)

    async def run() -> None:
        spools = Spools(paths(tmp_path))
        spools.route("llm", (Sink("file", "nfs.log"), Sink("file", "good.log")))
        write(spools, "llm", b"one\n")
        await until(lambda: content(tmp_path / "good.log") == b"one\n", "the good one")
        write(spools, "llm", b"two\n")
        await until(lambda: content(tmp_path / "good.log") == b"one\ntwo\n", "the good one")
        nfs, good = spools.sinks("llm")
        assert (nfs.behind, good.behind) == (8, 0)
        await spools.close()

    asyncio.run(run())
    come_back.set()


def test_a_full_disk_is_told_and_nothing_is_lost_once_there_is_room(tmp_path: Path) -> None:
    told: list[str] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def run() -> None:
        spools = Spools(paths(tmp_path), lambda service, text: told.append(text))
        spools.route("llm", (Sink("file", "a.log"), Sink("jsonl", "a.jsonl")))
        descriptor, log, _ = spools.open("llm")
        os.close(descriptor)
        printed = log.with_name("printed")
        printed.write_bytes(numbered(0, 5000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            os.replace(printed, log)  # now, and not before: a sink may still be looking from its start
            await until(lambda: len(told) == 2, "both to be told")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert sorted(told) == [
            f"cannot write `{name}`: File too large; what is printed waits in the log"
            for name in ("a.jsonl", "a.log")
        ]
        assert (tmp_path / "a.log").stat().st_size == 100_000
        await caught_up(spools, "llm")
        assert all(sink.failures >= 1 and sink.skipped == 0 for sink in spools.sinks("llm"))
        await spools.close()

    asyncio.run(run())
    assert (tmp_path / "a.log").read_bytes() == numbered(0, 5000)
    lines = [json.loads(line)["line"] for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines == numbered(0, 5000).decode().splitlines()


def test_a_file_that_is_moved_or_deleted_is_made_again(tmp_path: Path) -> None:
    async def run() -> None:
        spools = Spools(paths(tmp_path))
        spools.route("llm", (Sink("file", "logs/a.log"),))
        write(spools, "llm", b"one\n")
        await caught_up(spools, "llm")
        os.rename(tmp_path / "logs" / "a.log", tmp_path / "moved.log")
        write(spools, "llm", b"two\n")
        await caught_up(spools, "llm")
        (tmp_path / "logs" / "a.log").unlink()
        (tmp_path / "logs").rmdir()
        write(spools, "llm", b"three\n")
        await caught_up(spools, "llm")
        await spools.close()

    asyncio.run(run())
    assert (tmp_path / "moved.log").read_bytes() == b"one\n"
    assert (tmp_path / "logs" / "a.log").read_bytes() == b"three\n"


def test_a_link_of_ones_own_is_followed_and_of_another_is_not(tmp_path: Path) -> None:
    (tmp_path / "own.log").symlink_to(tmp_path / "real.log")
    target = FileTarget(tmp_path / "own.log", 10, 3)
    assert target.write(b"123456789\nab\n") == 13
    target.close()
    assert (tmp_path / "real.log").read_bytes() == b"ab\n"
    assert (tmp_path / "real.log.1").read_bytes() == b"123456789\n"
    if os.geteuid() == 0:
        (tmp_path / "other.log").symlink_to(tmp_path / "victim")
        os.lchown(tmp_path / "other.log", 12345, 12345)
        with pytest.raises(PermissionError, match="another user"):
            FileTarget(tmp_path / "other.log", 0, 0).write(b"x")
        assert not (tmp_path / "victim").exists()


def test_threads_grow_with_the_work_and_no_further() -> None:
    pool, gate, done = Pool(limit=3), threading.Event(), threading.Semaphore(0)

    def work() -> None:
        gate.wait(30)
        done.release()

    for _ in range(10):
        pool.submit(work)
    assert pool._threads == 3
    gate.set()
    assert all(done.acquire(timeout=20) for _ in range(10))
    pool.submit(work)
    assert done.acquire(timeout=20)
    assert pool._threads == 3
