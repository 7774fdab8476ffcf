"""Many spools, one stream: prefixes, unfinished lines, slow consoles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from launchpad.hosts.local.spool_reader import ends
from launchpad.views.lines import BEHIND, REDRAW_S, SILENCE_S, Follower
from tests.views.samples import FileSpool


class Desk:
    """A follower with a clock that the test turns and a console that the test reads."""

    def __init__(self, tmp: Path, color: bool = False, may_skip: bool = True) -> None:
        self.tmp = tmp
        self.now = 100.0
        self.text: list[str] = []
        self.costs: Callable[[str], float] = lambda text: 0.0
        self.follower = Follower(
            self._write, color=color, may_skip=may_skip, open_spool=FileSpool, clock=lambda: self.now
        )

    def _write(self, text: str) -> None:
        self.text.append(text)
        self.now += self.costs(text)

    def path(self, name: str) -> Path:
        return self.tmp / f"{name}.log"

    def prints(self, name: str, data: bytes) -> None:
        with open(self.path(name), "ab") as file:
            file.write(data)

    def add(self, name: str, offset: int | None = 0, **options: bool) -> None:
        self.follower.add(name, self.path(name), offset, **options)

    def shown(self) -> str:
        while self.follower.pump():
            pass
        text, self.text = "".join(self.text), []
        return text


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_lines_carry_aligned_names(desk: Desk) -> None:
    desk.prints("llm", b"one\ntwo\n")
    desk.prints("tensorboard", b"three\n")
    desk.add("llm")
    desk.add("tensorboard")
    assert desk.shown() == "llm         │ one\nllm         │ two\ntensorboard │ three\n"


def test_colours_are_stable_and_closed(tmp_path: Path) -> None:
    desk = Desk(tmp_path, color=True)
    desk.prints("a", b"x\n")
    desk.prints("b", b"y\n")
    desk.add("a")
    desk.add("b")
    assert desk.shown() == "\x1b[36ma │ \x1b[0mx\n\x1b[33mb │ \x1b[0my\n"


def test_a_spool_that_is_not_there_yet_is_followed_from_its_first_byte(desk: Desk) -> None:
    desk.add("late", None)
    assert desk.shown() == ""
    desk.prints("late", b"here\n")
    assert desk.shown() == "late │ here\n"


def test_only_what_comes_after_the_offset_is_shown(desk: Desk) -> None:
    desk.prints("a", b"old\n")
    starts = ends([desk.path("a")])
    desk.prints("a", b"new\n")
    desk.add("a", starts["a"])
    assert desk.shown() == "a │ new\n"


def test_an_unfinished_line_is_shown_after_silence_and_goes_on_later(desk: Desk) -> None:
    desk.add("a")
    desk.prints("a", b"Continue? ")
    assert desk.shown() == ""
    assert desk.follower.due() == pytest.approx(SILENCE_S)
    desk.follower.pump_unfinished()
    assert desk.shown() == ""
    desk.now += SILENCE_S
    desk.follower.pump_unfinished()
    assert desk.shown() == "a │ Continue? \n"
    assert desk.follower.due() is None
    desk.prints("a", b"yes\n")
    assert desk.shown() == "a │ yes\n"


def test_a_progress_bar_is_shown_now_and_then_and_at_its_end(desk: Desk) -> None:
    desk.add("a")
    shown = ""
    for step in range(1000):
        desk.prints("a", b"\r%d/1000" % step)
        desk.now += 0.01
        desk.follower.pump_unfinished()
        shown += desk.shown()
    desk.prints("a", b"\r1000/1000\n")
    shown += desk.shown()
    lines = shown.splitlines()
    assert lines[-1] == "a │ 1000/1000"
    assert 2 <= len(lines) <= 3 + 10 / REDRAW_S
    assert all(line.startswith("a │ ") and line.endswith("/1000") for line in lines)


def test_a_bar_that_stands_still_wakes_nobody(desk: Desk) -> None:
    desk.add("a")
    desk.prints("a", b"\r10 %")
    desk.shown()
    desk.now += SILENCE_S
    desk.follower.pump_unfinished()
    assert desk.shown() == "a │ 10 %\n"
    assert desk.follower.due() is None
    desk.follower.finish()
    assert desk.shown() == ""


def test_finish_shows_all_there_is_and_the_line_without_end(desk: Desk) -> None:
    desk.prints("a", b"x" * 600_000 + b"\nlast words")
    desk.add("a")
    desk.follower.finish()
    text = "".join(desk.text)
    assert text.count("x") == 600_000
    assert text.endswith("a │ last words\n")


def test_a_fast_console_gets_every_line(desk: Desk) -> None:
    lines = 300_000
    desk.prints("a", b"".join(b"line %06d of some length\n" % i for i in range(lines)))
    assert desk.path("a").stat().st_size > BEHIND
    desk.add("a")
    assert desk.shown().count("\n") == lines


def test_a_slow_console_is_told_less_and_told_so(desk: Desk) -> None:
    desk.costs = lambda text: 2.0
    desk.add("a")
    desk.prints("a", b"first\n")
    assert "first" in desk.shown()
    skipped = 300_000
    desk.prints("a", b"".join(b"line %06d of some length\n" % i for i in range(skipped)))
    text = desk.shown()
    assert "a │ … 299,900 lines skipped (launchpad logs a)\n" in text
    assert text.endswith("a │ line 299999 of some length\n")
    assert text.count("\n") == 101


def test_a_reader_who_must_have_all_is_never_told_less(tmp_path: Path) -> None:
    desk = Desk(tmp_path, may_skip=False)
    desk.costs = lambda text: 2.0
    desk.add("a")
    desk.prints("a", b"first\n")
    desk.shown()
    desk.prints("a", b"".join(b"line %06d of some length\n" % i for i in range(300_000)))
    assert desk.shown().count("\n") == 300_000


def test_output_that_is_no_longer_kept_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"0123456789new\n")
    text: list[str] = []
    follower = Follower(text.append, color=False, open_spool=lambda path: FileSpool(path, kept_from=10))
    follower.add("a", tmp_path / "a.log", 0)
    follower.pump()
    assert "".join(text) == "a │ … 10 bytes of output are no longer kept\na │ new\n"


def test_a_service_off_the_console_only_has_a_last_line(desk: Desk) -> None:
    desk.prints("a", b"quiet\n" * 5000)
    desk.add("a", 0, shown=False)
    assert desk.shown() == ""
    assert desk.follower.last_line("a") == "quiet"
