"""Bytes become lines: whole, safe, and without what was overwritten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchpad.views.assemble import MAX_PENDING, Assembler, _decode, _overwritten, clean


def feed(*chunks: bytes, color: bool = False) -> list[str]:
    lines = Assembler(color=color)
    return [line for chunk in chunks for line in lines.feed(chunk)]


def test_lines_are_whole_whatever_the_chunks() -> None:
    assert feed(b"one\ntw", b"o\n", b"thr", b"ee", b"\n") == ["one", "two", "three"]


@given(st.lists(st.text(alphabet="ab \r\nü", max_size=6), max_size=12))
def test_chunks_do_not_matter(parts: list[str]) -> None:
    data = [part.encode() for part in parts]
    assert feed(*data) == feed(b"".join(data))


def test_a_character_split_over_two_chunks_stays_whole() -> None:
    data = "größe\n".encode()
    assert feed(data[:4], data[4:]) == ["größe"]


def test_bytes_that_are_no_text_are_shown_and_lose_nothing_else() -> None:
    assert feed(b"a\xff\xfeb\n") == ["a\ufffd\ufffdb"]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"10 %\r20 %\r100 %\n", "100 %"),
        (b"windows line\r\n", "windows line"),
        (b"\r 50 %|##   |\r", " 50 %|##   |"),
        (b"kept\r\r\n", "kept"),
    ],
)
def test_a_carriage_return_overwrites(raw: bytes, shown: str) -> None:
    assert feed(raw if raw.endswith(b"\n") else raw + b"\n") == [shown]


def test_progress_does_not_grow_in_memory() -> None:
    lines = Assembler(color=False)
    for i in range(20_000):
        lines.feed(b"\rstep %d of 20000" % i)
    assert lines.last == "step 19999 of 20000"
    assert len(lines._pending) < 100


def test_a_line_without_end_is_cut_into_pieces() -> None:
    lines = Assembler(color=False)
    pieces = [piece for _ in range(20) for piece in lines.feed(b"x" * 10_000)]
    assert pieces
    assert len(lines._pending) <= MAX_PENDING
    assert sum(map(len, pieces)) + len(lines._pending) == 200_000


@pytest.mark.parametrize(
    "danger",
    ["\x1b[2A", "\x1b[2J", "\x1b[?25l", "\x1b[10;20H", "\x1b]0;title\x07", "\x1bc", "\x07", "\x0b", "\x9b"],
)
def test_nothing_moves_the_cursor(danger: str) -> None:
    assert clean(f"a{danger}b", color=True).replace("\x1b[0m", "") == "ab"


def test_colours_stay_where_they_are_wanted_and_are_closed() -> None:
    red = "\x1b[31mred\x1b[1;32m"
    assert clean(red, color=True) == red + "\x1b[0m"
    assert clean(red, color=False) == "red"


def test_tabs_and_other_alphabets_stay() -> None:
    assert clean("a\tb 模型 🚀", color=False) == "a\tb 模型 🚀"


def test_what_was_given_out_early_is_not_repeated() -> None:
    lines = Assembler(color=False)
    assert lines.feed(b"Password: ") == []
    assert lines.take() == "Password: "
    assert lines.feed(b"\nnext\n") == ["next"]


def test_the_rest_of_a_line_that_was_given_out_early_follows() -> None:
    lines = Assembler(color=False)
    lines.feed(b"loading ... ")
    lines.take()
    assert lines.feed(b"done\n") == ["done"]


def test_an_early_line_keeps_a_broken_character_back() -> None:
    lines = Assembler(color=False)
    lines.feed("aü".encode()[:2])
    assert lines.take() == "a"
    assert lines.feed("aü".encode()[2:] + b"\n") == ["ü"]


def test_the_last_line_is_the_newest_with_anything_on_it() -> None:
    lines = Assembler(color=True)
    lines.feed(b"one\n\x1b[31mtwo\x1b[0m\n\n   \n")
    assert lines.last == "two"
    lines.feed(b"thr")
    assert lines.last == "thr"


PIECES = [
    b"plain ",
    b"\x1b[31m",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\xe2\x82\xac",
    b"\x7f",
    b"\x07",
    b"\r",
    b"\t",
    b"\xff",
    b"\n",
]


@pytest.mark.parametrize("odd", PIECES)
@given(numbers=st.lists(st.integers(0, 2), max_size=9))
def test_many_lines_at_once_are_what_each_of_them_is(odd: bytes, numbers: list[int]) -> None:
    block = b"".join((b"plain", b"\n", odd)[number] for number in numbers) + b"\n"
    alone = [clean(_decode(_overwritten(line)), color=True) for line in block[:-1].split(b"\n")]
    assert feed(block, color=True) == alone
