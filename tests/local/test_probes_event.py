"""Readiness by a line of output and by notification: told when it happens, once for each question."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from launchpad.core.model import CheckKind
from launchpad.hosts.local import inotify, probes_log
from launchpad.hosts.local.notify import close_notify, open_notify
from tests.local.probing import Bench, bench, process

LOG, NOTIFY = CheckKind.LOG, CheckKind.NOTIFY


def say(path: Path, data: bytes) -> None:
    with open(path, "ab", buffering=0) as file:
        file.write(data)


async def nothing(b: Bench) -> None:
    """Everything that is on its way has been handled, and no answer was told."""
    for _ in range(20):
        await asyncio.sleep(0.02)  # some rounds of the loop and of inotify; nothing is expected to happen
        assert b.told.empty()


def test_a_line_of_the_past_and_only_of_this_attempt(tmp_path: Path) -> None:
    log = tmp_path / "llm.log"
    say(log, b"startup complete\n")

    async def run() -> None:
        async with bench(tmp_path) as b:
            b.running.log_start = log.stat().st_size
            wish = b.send(LOG, "startup complete")
            await nothing(b)
            say(log, b"INFO startup complete now\n")
            fact = await b.answer()
            assert (fact.ok, fact.seq, fact.seen.text) == (
                True,
                wish.seq,
                'printed "INFO startup complete now"',
            )
            again = b.send(LOG, "startup complete")
            assert b.told.get_nowait().seq == again.seq, "asking again is answered at once"
            b.running.log_start = 0
            b.running.attempt = 2
            b.send(LOG, "startup complete")
            assert b.told.get_nowait().seen.text == 'printed "startup complete"'

    asyncio.run(run())


def test_the_latest_question_is_answered_once(tmp_path: Path) -> None:
    log = tmp_path / "llm.log"
    log.touch()

    async def run() -> None:
        async with bench(tmp_path) as b:
            b.send(LOG, "up")
            last = b.send(LOG, "up")
            say(log, b"up\nup\n")
            assert (await b.answer()).seq == last.seq
            say(log, b"up\n")
            await nothing(b)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("pieces", "pattern"),
    [
        ([b" 10%\r 50%\r100% loaded\r"], "^100% loaded$"),
        ([b"half a li", b"ne is rea", b"dy\n"], "^half a line is ready$"),
        ([b"x" * 1_000_000, b"\nready\n"], "^ready$"),
        ([b"begin" + b"x" * 1_000_000], "^begin"),
        ([b"\x1b[32mINFO\x1b[0m: ready\n"], "^INFO: ready$"),
        ([b"caf\xc3", b"\xa9 \xff ready\n"], "^café . ready$"),
        ([b"listening> "], "> $"),
        ([b"a\nb\n" * 300_000, b"ready\n"], "^ready$"),
    ],
)
def test_lines_in_all_forms(tmp_path: Path, pieces: list[bytes], pattern: str) -> None:
    log = tmp_path / "llm.log"
    log.touch()

    async def run() -> None:
        async with bench(tmp_path) as b:
            b.send(LOG, pattern)
            for piece in pieces:
                say(log, piece)
                await asyncio.sleep(0)  # gives the reader a turn between the pieces
            assert (await b.answer()).ok

    asyncio.run(run())


def test_what_matches_only_over_two_lines_does_not_match(tmp_path: Path) -> None:
    search = probes_log.LineSearch("a.b|^x$")
    assert not search.feed(b"a\nb\nxx\n\rxy\n")
    assert not search.feed(b"x" * (probes_log.LONGEST_LINE + 10) + b"\n")
    assert not search.feed(b"y" * (probes_log.LONGEST_LINE + 10))
    assert not search.feed(b"x"), "this is the end of an overlong line"
    assert not search.feed(b"\n")
    assert search.feed(b"x\n")
    search = probes_log.LineSearch("^x")
    for _ in range(5):
        assert not search.feed(b"z" * (probes_log.LONGEST_LINE + 10))
    assert not search.feed(b"x" * (probes_log.LONGEST_LINE + 10)), "still the same line"


def test_a_log_that_is_there_only_later(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b:
            b.send(LOG, "up")
            say(tmp_path / "llm.log", b"up\n")
            assert (await b.answer()).ok

    asyncio.run(run())


def test_without_inotify_it_is_found_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: inotify.Inotify) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(inotify.Inotify, "__init__", missing)
    log = tmp_path / "llm.log"
    log.touch()

    async def run() -> None:
        async with bench(tmp_path) as b:
            b.send(LOG, "up")
            say(log, b"up\n")
            assert (await b.answer()).ok

    asyncio.run(run())


def test_patterns_that_cannot_come_about_are_final(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b:
            fact = await b.ask(LOG, "(")
            assert (fact.seen.kind, fact.seen.final) == ("error", True)
            assert "`(` is not a regular expression" in fact.seen.text
            b.running.log = Path(os.devnull)
            fact = await b.ask(LOG, "up")
            assert (fact.ok, fact.seen.final) == (False, True)
            assert "`null`" in fact.seen.text

    asyncio.run(run())


def test_the_log_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "llm.log"
    say(log, b"no\n" * 100_000)
    offsets: list[int] = []
    real = probes_log.SpoolReader.read_from

    def spy(self: probes_log.SpoolReader, offset: int, limit: int) -> tuple[bytes, int]:
        data, after = real(self, offset, limit)
        if data:
            offsets.append(offset)
        return data, after

    monkeypatch.setattr(probes_log.SpoolReader, "read_from", spy)

    async def run() -> None:
        async with bench(tmp_path) as b:
            for _ in range(3):
                b.send(LOG, "yes")
                say(log, b"no\n")
                await asyncio.sleep(0.05)  # lets the reader see each line by itself
            say(log, b"yes\n")
            await b.answer()

    asyncio.run(run())
    assert len(set(offsets)) == len(offsets)


SEND = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
address = os.environ.get("NOTIFY_SOCKET") or sys.argv[1]
sock.connect("\\0" + address[1:] if address.startswith("@") else address)
print("up", flush=True)
for line in sys.stdin:
    sock.send(line.strip().replace("|", "\\n").encode())
"""


def test_notify_counts_from_its_own_processes_only(tmp_path: Path) -> None:
    async def run() -> None:
        sock, address = open_notify(tmp_path / "run", "llm-1")
        assert Path(address).stat().st_mode & 0o777 == 0o600
        with process(SEND, address) as (ours, _), process(SEND, address) as (other, _):
            async with bench(tmp_path) as b:
                b.own, b.running.notify = {ours.pid}, sock
                say_to(ours, "STATUS=loading 3 of 10|EXTEND_TIMEOUT_USEC=1")
                b.send(NOTIFY)
                fact = await b.answer()
                assert (fact.ok, fact.seen.text) == (False, 'says "loading 3 of 10"')
                say_to(ours, "STATUS=loading 4 of 10")
                await nothing(b)
                b.send(NOTIFY)
                say_to(other, "READY=1")
                fact = await b.answer()
                assert (fact.ok, fact.seen.kind) == (False, "stranger")
                assert fact.seen.text.startswith(f"pid {other.pid} `")
                wish = b.send(NOTIFY)
                say_to(ours, "READY=1|STATUS=all 10 loaded")
                fact = await b.answer()
                assert (fact.ok, fact.seq) == (True, wish.seq)
                assert fact.seen.text == 'says it is ready: "all 10 loaded"'
                b.send(NOTIFY)
                assert b.told.get_nowait().ok
        close_notify(sock)
        assert not Path(address).exists()

    asyncio.run(run())


def say_to(child: object, line: str) -> None:
    child.stdin.write(line + "\n")  # type: ignore[attr-defined]
    child.stdin.flush()  # type: ignore[attr-defined]


def test_a_service_is_not_held_up_by_what_it_reports(tmp_path: Path) -> None:
    """Datagrams queue in the kernel until they are read; a full queue blocks the sender."""
    chatter = SEND.replace("for line in sys.stdin:", "for line in ['READY=1'] + ['WATCHDOG=1'] * 5000:")

    async def run() -> None:
        sock, address = open_notify(tmp_path, "llm-1")
        async with bench(tmp_path) as b:
            with process(chatter, address) as (child, _):
                b.own, b.running.notify = {child.pid}, sock
                b.send(NOTIFY)
                assert (await b.answer()).ok
                assert await asyncio.to_thread(child.wait, 25) == 0
        close_notify(sock)

    asyncio.run(run())


def test_a_sender_that_has_ended_and_a_barrier(tmp_path: Path) -> None:
    async def run() -> None:
        sock, address = open_notify(tmp_path, "llm-1")
        async with bench(tmp_path) as b:
            b.own, b.running.notify = set(), sock
            with process(SEND, address) as (child, _):
                say_to(child, "READY=1")
                child.communicate(timeout=20)
            read, write = os.pipe()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.connect(address)
                socket.send_fds(sender, [b"BARRIER=1"], [write])
            os.close(write)
            b.send(NOTIFY)
            assert (await b.answer()).ok
            assert os.read(read, 1) == b"", "the other end is closed everywhere"
            os.close(read)
        close_notify(sock)

    asyncio.run(run())


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    async def run() -> None:
        sock, address = open_notify(tmp_path / ("d" * 120), "llm-1")
        assert address.startswith("@launchpad-llm-1-")
        async with bench(tmp_path) as b:
            with process(SEND, address) as (child, _):
                b.own, b.running.notify = {child.pid}, sock
                b.send(NOTIFY)
                say_to(child, "READY=1")
                assert (await b.answer()).ok
        close_notify(sock)

    asyncio.run(run())


def test_without_a_socket(tmp_path: Path) -> None:
    async def run() -> None:
        async with bench(tmp_path) as b:
            assert "no socket" in (await b.ask(NOTIFY)).seen.text

    asyncio.run(run())


def test_a_chatty_child_is_seen_through_to_its_line(tmp_path: Path) -> None:
    code = "import sys\nprint('up', flush=True)\nout = open(sys.argv[1], 'ab', 0)\nfor i in range(40): out.write(b'line\\n' * 13000)\nout.write(b'ready\\n')"

    async def run() -> None:
        (tmp_path / "llm.log").touch()
        async with bench(tmp_path) as b:
            b.send(LOG, "^ready$")
            with process(code, str(tmp_path / "llm.log")):
                assert (await b.answer()).ok

    asyncio.run(run())
