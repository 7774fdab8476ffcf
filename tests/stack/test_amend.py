"""A tree that is amended after an edit is the one that reading the whole file gives, with every place in it."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from launchpad.stack.amend import Amended, _difference, amended
from launchpad.stack.merge import normal
from launchpad.stack.nodes import Map, Node, Scalar, Seq
from launchpad.stack.source import read

FILE = """\
# a stack
name: demo
vars: {size: 3}
defaults:
  stop_grace: 3s
servers:
  # the first
  one:
    command: [serve, "--port", '${self.port}']
    port: 8000

  two: {command: serve two, environment: [A=1, "B=2"]}
  three:
    command: |
      serve
        three

    shell: true
  # about four
  four:
    command: >-
      folded
      text
    environment:
      - A=1
    ready:
jobs:
  load:
    command: "load
      more"
    depends_on:
    - one
    - two
  last: {command: x}
x-mine: [1, 2]
"""
WORDS = [
    "\n",
    "  ",
    " ",
    "#",
    ":",
    ": ",
    "- ",
    "? ",
    "|",
    ">",
    "'",
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\t",
    "\r",
    "\x85",
    "é",
    "\0",
    "servers:\n",
    "jobs:\n",
    "  two:\n",
    "  new: {command: y}\n",
    "    port: 1\n",
    "x",
    "\n\n",
    "  # note\n",
]


def dump(node: Node) -> object:
    """All that there is of it."""
    at = (node.span, node.size, node.height)
    if isinstance(node, Scalar):
        return at, node.text, type(node.value), str(node.value), node.style, node.raw
    if isinstance(node, Seq):
        return at, [dump(item) for item in node.items]
    return at, [(name, dump(one.key), dump(one.value)) for name, one in node.entries.items()]


def tree(file: Path, text: str) -> tuple[str | None, Map | None, bool]:
    """Its text, where that can be amended; its tree; whether it is in order so far."""
    file.write_bytes(text.encode())
    found = read(file)
    root = None if found.root is None else normal(found.root, found.problems)
    return found.text, root, not found.problems


def is_same(folder: Path, was: str, now: str) -> Amended | None:
    """Compares; what is amended, None where the whole file is to be read."""
    text, root, fine = tree(folder / "a.yaml", was)
    if text is None or root is None or not fine:
        return None
    found = amended(text, root, now)
    if found is not None:
        _, whole, fine = tree(folder / "a.yaml", now)
        assert fine
        assert whole is not None
        assert dump(found.root) == dump(whole)
    return found


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, str]:
    text = draw(
        st.sampled_from([FILE, FILE.replace("\n\n", "\n"), FILE.rstrip("\n"), FILE[FILE.index("servers") :]])
    )
    for _ in range(draw(st.integers(0, 2))):
        text = once(draw, text)
    return text, once(draw, text)


def once(draw: st.DrawFn, text: str) -> str:
    begin = draw(st.integers(0, len(text)))
    end = min(len(text), begin + draw(st.sampled_from([0, 0, 0, 1, 2, 5, 20, 80])))
    put = "".join(draw(st.lists(st.sampled_from(WORDS), max_size=3)))
    if draw(st.booleans()):  # whole lines
        begin, end = text.rfind("\n", 0, begin) + 1, text.rfind("\n", 0, end) + 1
    return text[:begin] + put + text[end:]


@given(st.text("ab\n", max_size=12), st.text("ab\n", max_size=12))
@example("aa", "aaa")
@example("aaa", "aa")
def test_where_a_text_differs(was: str, now: str) -> None:
    """All of the beginning that is the same, and of the rest all of the end."""
    begin, end = _difference(was, now)
    assert begin == alike(was, now)
    assert len(was) - end == alike(was[begin:][::-1], now[begin:][::-1])


def alike(one: str, other: str) -> int:
    """So many characters at the beginning."""
    return sum(accumulate((a == b for a, b in zip(one, other, strict=False)), min))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("amend")


@settings(max_examples=1500, deadline=None)
@given(edits())
@example((FILE, FILE.replace("port: 8000", "port: 8001\n    host: ::1")))
@example((FILE, FILE.replace("    ready:\n", "    ready:\n      ? http\n")))
@example((FILE, FILE.replace("    - two\n", "    - two\n...\n")))
@example((FILE, FILE.replace("      text\n", "      text\n\n\n")))
def test_amended_is_as_read_whole(folder: Path, edit: tuple[str, str]) -> None:
    is_same(folder, *edit)
