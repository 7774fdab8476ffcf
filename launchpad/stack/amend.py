"""The tree of a file of which some services were written anew: taken from the tree that it was, but for them.

Decides which lines have to be read again: whole services, from the first to the last in which anything differs. What a
service looks like decides nothing about those around it as long as it begins and ends where a plain key of the same map
does; where that, or anything else, is not plain to see, it is for the whole file to be read again.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import pairwise

from msgspec import Struct

from launchpad.errors import Diagnostic, Span
from launchpad.stack.merge import normal_one
from launchpad.stack.nodes import Entry, Map, moved_entry
from launchpad.stack.source import MAX_NODES, read_part

GROUPS = ("servers", "jobs")
_KEY = re.compile(r"( *)[A-Za-z_][\w-]*:(?=[ \n]|\Z)", re.ASCII)


class Amended(Struct, frozen=True):
    """`anew`: services that were read again; `moved`: others that stand at other lines now."""

    text: str
    root: Map
    anew: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()


class _Cut(Struct, frozen=True):
    """Some entries of a group, in the text that was: from `start`, which is in line `line`, up to `end`."""

    group: str
    names: tuple[str, ...]
    later: tuple[str, ...]
    line: int
    start: int
    end: int
    is_last: bool
    """No entry of the group comes after them."""


def amended(was: str, root: Map, now: str) -> Amended | None:
    """`root` is what was read from `was`, with nothing merged over or beneath it. None: read all of it."""
    if was == now:
        return Amended(now, root)
    begin, end = _difference(was, now)
    cut = _cut(was, root, begin, end)
    if cut is None:
        return None
    stop = cut.end + len(now) - len(was)
    lines = now[cut.start : stop]
    if _indent(now, cut.start) != _indent(was, cut.start) or (stop < len(now) and not lines.endswith("\n")):
        return None
    part = read_part(root.span.file, cut.group, lines, cut.line)
    if part is None or tuple(part.entries) != cut.names:
        return None
    found = _put(now, root, cut, part, lines.count("\n") - was.count("\n", cut.start, cut.end))
    return None if found is None or found.root.size > MAX_NODES else found


def _difference(was: str, now: str) -> tuple[int, int]:
    """Of `was`, from where to where it is not as in `now`."""
    begin = _same(was, now)
    after = _same_end(was, now, min(len(was), len(now)) - begin)
    return begin, len(was) - after


def _same(one: str, other: str) -> int:
    """How many characters at the beginning of both are the same; by halves, each of which is one comparison."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _same_end(one: str, other: str, most: int) -> int:
    """How many at the end, of `most`."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, root: Map, begin: int, end: int) -> _Cut | None:
    first, last = text.count("\n", 0, begin) + 1, text.count("\n", 0, end) + 1
    free = last if end == 0 or text[end - 1] == "\n" else last + 1  # where something unchanged may begin
    tops = [entry.key.span.line for entry in root.entries.values()]
    at = bisect_right(tops, first) - 1
    if at < 0 or not _is_block(root) or not _grows(tops):
        return None
    group = list(root.entries)[at]
    below = root.get(group)
    if group not in GROUPS or not isinstance(below, Map) or not _is_block(below):
        return None
    names, lines = list(below.entries), [entry.key.span.line for entry in below.entries.values()]
    one = bisect_right(lines, first) - 1
    if one < 0 or not _grows(lines) or lines[0] <= tops[at]:
        return None
    other = bisect_left(lines, free, one + 1)
    ends = lines[other] if other < len(lines) else tops[at + 1] if at + 1 < len(tops) else 0
    if ends and ends < free:
        return None
    start = _offset(text, lines[one], begin, first)
    stop = _offset(text, ends, end, last) if ends else len(text)
    indent = _indent(text, start)
    if indent is None or (ends and _indent(text, stop) != (indent if other < len(lines) else 0)):
        return None
    later = tuple(names[other:])
    return _Cut(group, tuple(names[one:other]), later, lines[one], start, stop, other == len(lines))


def _is_block(node: Map) -> bool:
    """It is written as lines and not within braces: it begins with its first key."""
    first = next(iter(node.entries.values()), None)
    return first is not None and (first.key.span.line, first.key.span.column) == (
        node.span.line,
        node.span.column,
    )


def _grows(lines: list[int]) -> bool:
    return all(one < other for one, other in pairwise(lines))


def _offset(text: str, line: int, at: int, at_line: int) -> int:
    """Where a line begins; `at` is a place in line `at_line`."""
    at = text.rfind("\n", 0, at) + 1
    while at_line > line:
        at, at_line = text.rfind("\n", 0, at - 1) + 1, at_line - 1
    while at_line < line:
        at, at_line = text.index("\n", at) + 1, at_line + 1
    return at


def _indent(text: str, at: int) -> int | None:
    """How far the plain key that begins the line is set in; None where none does."""
    match = _KEY.match(text, at)
    return None if match is None else len(match[1])


def _put(text: str, root: Map, cut: _Cut, part: Map, lines: int) -> Amended | None:
    """The tree with the new entries; what stands below is `lines` further down."""
    problems: list[Diagnostic] = []
    entry = root.entries[cut.group]
    old = entry.value
    assert isinstance(old, Map)
    fresh = {name: normal_one(one, problems) for name, one in part.entries.items()}
    if problems or not all(isinstance(one.value, Map) for one in (*fresh.values(), *_of(old, cut.names))):
        return None
    inner, below = {**old.entries, **fresh}, _below(root, cut.group) if lines else ()
    if lines and "defaults" in below:
        return None
    for name in cut.later if lines else ():
        inner[name] = moved_entry(inner[name], lines)
    grown = sum(one.value.size for one in fresh.values()) - sum(one.value.size for one in _of(old, cut.names))
    height = 1 + max(one.value.height for one in inner.values())
    span = _to(old.span, part.span) if cut.is_last else _further(old.span, lines)
    group = Map(span, inner, old.size + grown, height)
    entries = {**root.entries, cut.group: Entry(entry.key, group)}
    entries.update({key: moved_entry(entries[key], lines) for key in below})
    height = 1 + max(one.value.height for one in entries.values())
    is_end = next(reversed(root.entries)) == cut.group
    top = Map(
        _to(root.span, span) if is_end else _further(root.span, lines), entries, root.size + grown, height
    )
    others = (name for key in below if key in GROUPS for name in getattr(root.get(key), "entries", ()))
    return Amended(text, top, cut.names, (*cut.later, *others) if lines else ())


def _of(group: Map, names: tuple[str, ...]) -> list[Entry]:
    return [group.entries[name] for name in names]


def _below(root: Map, group: str) -> tuple[str, ...]:
    names = tuple(root.entries)
    return names[names.index(group) + 1 :]


def _to(span: Span, end: Span) -> Span:
    """From where it begins to that end."""
    return Span(span.file, span.line, span.column, end.end_line, end.end_column)


def _further(span: Span, lines: int) -> Span:
    """Its end is so many lines further down."""
    return Span(span.file, span.line, span.column, span.end_line + lines, span.end_column)
