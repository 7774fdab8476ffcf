"""The console as a whole: what is on the two streams, or on the terminal, when all is over."""

from __future__ import annotations

import io
import os
import re
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console as RichConsole

from launchpad.control.api import Notice, Snapshot
from launchpad.errors import Diagnostic
from launchpad.views.console import Console
from tests.views.samples import NOW, FakeFeed, FileSpool, snapshot, view, waiting

LIMIT_S = 30.0
PROBLEM = Diagnostic("E501", "`train` failed", notes=("exit 1 after 3.0 s",))


class Room:
    """A console in a thread, its feed, and the spools beside it."""

    def __init__(self, tmp: Path, **options: Any) -> None:
        self.tmp = tmp
        self.out, self.err = io.StringIO(), io.StringIO()
        self.feed = FakeFeed(
            snapshot(
                view("llm", "starting", pid=7, attempt=1, started_at=NOW, log=self.log("llm")),
                waiting("train", "llm", log=self.log("train")),
                started_at=NOW,
            )
        )
        settings: dict[str, Any] = {"tty": False, "color": False, "out": self.out, "err": self.err,
                                    "starts": {}, "open_spool": FileSpool, **options}  # fmt: skip
        self.console = Console(self.feed, **settings)
        self.until: Any = None
        self.thread = threading.Thread(target=lambda: self.console.run(self.until), daemon=True)

    def log(self, name: str) -> str:
        return str(self.tmp / f"{name}.log")

    def prints(self, name: str, data: bytes) -> None:
        with open(self.log(name), "ab") as file:
            file.write(data)

    def join(self) -> None:
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive()

    def comes_up(self) -> None:
        url = "http://127.0.0.1:8030"
        self.feed.change(
            "llm", state="ready", ready_at=NOW + 2.3, ports={"main": 8030}, url=url, since=NOW + 2.3
        )
        self.feed.change(
            "train", state="ready", pid=9, attempt=2, holds=(), since=NOW + 2.3, started_at=NOW + 2.3
        )
        self.feed.put(phase="up")

    def fails(self) -> None:
        self.feed.change("train", state="failed", outcome="exit 1 after 3.0 s", exit_code=1, since=NOW + 5)
        self.feed.put(phase="stopping", failed=("train",), diagnostics=(PROBLEM,))
        self.feed.change("llm", state="idle", goal="down", since=NOW + 6)
        self.feed.put(phase="finished", code=1)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def without_times(text: str) -> str:
    return re.sub(r"\d\d:\d\d:\d\d", "TIME", text)


def test_output_on_stdout_events_on_stderr(room: Room) -> None:
    room.prints("llm", b"loading\nserving\n")
    room.thread.start()
    room.comes_up()
    room.prints("train", b"step 1\nstep 2, and no line end")
    room.fails()
    room.join()
    assert sorted(room.out.getvalue().splitlines()) == [
        "llm   │ loading",
        "llm   │ serving",
        "train │ step 1",
        "train │ step 2, and no line end",
    ]
    said = without_times(room.err.getvalue())
    assert said.endswith("grpo failed: train (exit 1 after 3.0 s)\n")
    assert "TIME llm ready (2.3 s) http://127.0.0.1:8030\n" in said or "TIME train failed" in said
    assert said.count("E501") == 1
    assert "\x1b" not in said + room.out.getvalue()


def test_who_began_the_stack_is_told_all_of_it_and_who_joins_only_news(tmp_path: Path) -> None:
    """The first picture may come after the first notices."""
    for starts, told in (({}, ["early", "late"]), (None, ["late"])):
        room = Room(tmp_path, starts=starts)
        room.feed.put(notices=(Notice(1, NOW, "early"),))
        shown = threading.Event()
        room.until = lambda last, shown=shown: shown.set() or len(last.notices) == 2
        room.thread.start()
        assert shown.wait(LIMIT_S)
        room.feed.put(notices=(Notice(1, NOW, "early"), Notice(2, NOW, "late")))
        room.join()
        said = without_times(room.err.getvalue())
        assert re.findall("TIME (early|late)\n", said) == told


def test_the_summary_comes_when_all_is_up(room: Room) -> None:
    room.until = lambda shown: shown.phase == "up"
    room.thread.start()
    room.comes_up()
    room.join()
    assert without_times(room.err.getvalue()).endswith(
        "grpo is up in 2.3 s\n  llm    http://127.0.0.1:8030\n  train  running\n"
    )
    assert room.console.last is not None
    assert room.console.last.phase == "up"


def test_a_feed_that_ends_with_the_deciding_picture_is_no_loss(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`up -d`: the supervisor closes the pipe once the start is decided; nobody died."""
    room.comes_up()
    up = room.feed.wait(-1, 0)

    def last_word(after_rev: int, timeout_s: float) -> Any:
        if after_rev >= up.rev:
            raise ConnectionError
        return up

    monkeypatch.setattr(room.feed, "wait", last_word)
    # All that the feed has to say is there before the console looks for the first time.
    monkeypatch.setattr(room.console._news, "start", room.console._news._ask)
    room.until = lambda shown: shown.phase == "up"
    room.thread.start()
    room.join()
    said = without_times(room.err.getvalue())
    assert "is up" in said
    assert "gone" not in said


def test_output_is_complete_up_to_the_end(room: Room) -> None:
    room.thread.start()
    room.comes_up()
    count = 200_000
    room.prints("train", b"".join(b"line %d\n" % i for i in range(count)))
    room.fails()
    room.join()
    assert room.out.getvalue().count("train │ line ") == count


def test_a_dead_service_has_its_last_words_before_its_failure_is_told(tmp_path: Path) -> None:
    both = io.StringIO()
    room = Room(tmp_path, out=both, err=both)
    room.thread.start()
    room.comes_up()
    room.prints("train", b"RuntimeError: out of memory")
    room.fails()
    room.join()
    text = both.getvalue()
    assert text.index("out of memory") < text.index("train failed")


def test_a_feed_that_ends_is_told(room: Room) -> None:
    room.feed.put(phase="up")
    room.thread.start()
    room.feed.leave()
    room.join()
    assert "is gone; its services go on" in room.err.getvalue() or not room.console.last


def test_what_a_feed_raises_is_raised_by_run(tmp_path: Path) -> None:
    class Broken:
        def wait(self, after_rev: int, timeout_s: float) -> Snapshot:
            raise EOFError("ended without a word")

    console = Console(Broken(), tty=False, color=False, out=io.StringIO(), err=io.StringIO())
    with pytest.raises(EOFError):
        console.run()


def test_stop_shows_what_is_left_and_ends(room: Room) -> None:
    room.thread.start()
    room.prints("llm", b"last words\n")
    assert room.console.stop(LIMIT_S)
    room.join()
    assert "llm   │ last words\n" in room.out.getvalue()
    assert "grpo" not in room.err.getvalue().replace("grpo is up", "")


def test_stop_looks_once_more(tmp_path: Path) -> None:
    """The end may come while the question for something newer is still on its way."""
    room = Room(tmp_path)
    first, rest = threading.Event(), threading.Event()
    feed_wait = room.feed.wait

    def wait(after_rev: int, timeout_s: float) -> Snapshot:
        if after_rev >= 0:
            first.set()
            rest.wait(LIMIT_S)
        return feed_wait(after_rev, timeout_s)

    room.feed.wait = wait  # type: ignore[method-assign]
    room.thread.start()
    assert first.wait(LIMIT_S)
    room.fails()
    assert room.console.stop(LIMIT_S)
    room.join()
    rest.set()
    assert room.err.getvalue().endswith("grpo failed: train (exit 1 after 3.0 s)\n")


def test_without_output_only_progress_is_shown(tmp_path: Path) -> None:
    room = Room(tmp_path, output=False)
    room.prints("llm", b"loading\n")
    room.thread.start()
    room.comes_up()
    room.fails()
    room.join()
    assert room.out.getvalue() == ""
    assert "grpo failed" in room.err.getvalue()


def test_output_of_earlier_runs_is_not_repeated(tmp_path: Path) -> None:
    room = Room(tmp_path, starts={"llm": 4})
    room.prints("llm", b"old\nnew\n")
    room.thread.start()
    room.fails()
    room.join()
    assert room.out.getvalue() == "llm   │ new\n"


# --- a terminal ----------------------------------------------------------------------------------------


def test_a_terminal_has_the_block_and_then_the_summary(tmp_path: Path) -> None:
    out = io.StringIO()
    terminal = RichConsole(file=out, force_terminal=True, width=100, height=30, legacy_windows=False)
    room = Room(tmp_path, tty=True, color=False, out=out, rich_console=terminal)
    room.prints("llm", b"loading \x1b[2A\x1b[2J shards\n")
    room.thread.start()
    room.comes_up()
    room.fails()
    room.join()
    text = out.getvalue()
    assert "llm   │ loading  shards\n" in text
    assert "\x1b[2J" not in text
    assert text.endswith("grpo failed: train (exit 1 after 3.0 s)\n")
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h"), "the cursor is hidden for good"
    assert room.err.getvalue() == ""


@pytest.fixture
def stalled() -> Iterator[tuple[int, Any]]:
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w")
    yield reader, stream
    os.close(reader)
    stream.close()


def test_a_stalled_console_holds_up_nobody_else(tmp_path: Path, stalled: tuple[int, Any]) -> None:
    reader, stream = stalled
    room = Room(tmp_path, out=stream)
    room.prints("llm", b"x" * 99 + b"\n" * 20_000 + b"y" * 200_000 + b"\n")
    room.thread.start()
    select.select([reader], [], [], LIMIT_S)
    room.comes_up()
    room.fails()
    assert not room.console.stop(0.2), "the pipe is full, so the console cannot have ended"
    os.set_blocking(reader, False)
    while room.thread.is_alive():
        select.select([reader], [], [], 0.1)
        try:
            os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
    assert "grpo failed" in room.err.getvalue()


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        room = Room(tmp_path, out=stream)
        room.prints("llm", b"nobody reads this\n")
        room.thread.start()
        room.fails()
        room.join()
    assert "grpo failed" in room.err.getvalue()


def test_stop_after_the_end_is_harmless(room: Room) -> None:
    room.thread.start()
    room.fails()
    room.join()
    assert room.console.stop(LIMIT_S)


class Moving:
    """A surface of which something is taken for some looks, and then no more."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.moved = 0.0

    @property
    def moved_at(self) -> float:
        if self.looks:
            self.looks -= 1
            self.moved = time.monotonic()
        return self.moved


def test_a_slow_reader_is_waited_for_as_long_as_it_reads(room: Room) -> None:
    room.console._surface = moving = Moving(5)  # type: ignore[assignment]
    assert not room.console.stop(0.01)
    assert moving.looks == 0


def test_a_reader_is_seen_to_move(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        room = Room(tmp_path, out=stream)
        room.prints("llm", b"hello\n")
        room.thread.start()
        assert os.read(reader, 100) == "llm   │ hello\n".encode()
        assert room.console.stop(LIMIT_S)
        assert room.console._surface.moved_at > 0
    os.close(reader)
