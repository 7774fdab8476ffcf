"""What a YAML file holds, with the place of each piece.

Decides what a plain scalar means (YAML 1.2's core rules, stricter about leading zeros); knows no keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from launchpad.errors import Span

if TYPE_CHECKING:
    from launchpad.stack.home import Home

BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""Where YAML begins a new line."""

_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,29})\Z")
_BASED = re.compile(r"0o[0-7]{1,30}\Z|0x[0-9a-fA-F]{1,30}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")

Value = str | int | float | bool | None


def resolve(text: str) -> Value:
    """What an unquoted scalar is. `on`, `8000:10` and `0755` are text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text)
    if _BASED.match(text):
        return int(text, 0)
    if _SPECIAL.match(text) or (len(text) < 100 and _FLOAT.match(text)):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


class Scalar(Struct, frozen=True, eq=False):
    """One value. `raw` is its source text, quotes and all; `value` is what it resolves to."""

    span: Span
    text: str
    value: Value
    style: str = ""
    """Empty for plain, else `'`, `"`, `|` or `>`."""
    raw: str = ""
    size: int = 1
    height: int = 0
    home: Home | None = None
    """Of which other file it is, if it is not of the stack's own."""

    def place(self, offset: int, length: int = 1) -> Span:
        """Where character `offset` of the text stands in the file; the whole scalar if that cannot be told
        (a character that was written as an escape)."""
        if not 0 <= offset < len(self.text):
            return self.span
        char = self.text[offset]
        begin = _header(self.raw) if self.style in ("|", ">") else 0
        if self.raw.count(char, begin) != self.text.count(char):
            return self.span
        index = begin - 1
        for _ in range(self.text.count(char, 0, offset) + 1):
            index = self.raw.index(char, index + 1)
        return self._at(index, self.text[offset : offset + length])

    def _at(self, index: int, wanted: str) -> Span:
        line, column = self.span.line, self.span.column + index
        for match in BREAK.finditer(self.raw, 0, index):
            line, column = line + 1, index - match.end() + 1
        length = len(wanted) if self.raw.startswith(wanted, index) and not BREAK.search(wanted) else 1
        return Span(self.span.file, line, column, line, column + length)


def _header(raw: str) -> int:
    match = BREAK.search(raw)
    return match.end() if match else len(raw)


class Seq(Struct, frozen=True, eq=False):
    span: Span
    items: tuple[Node, ...]
    size: int = 1
    height: int = 1


class Entry(Struct, frozen=True):
    key: Scalar
    value: Node

    @property
    def span(self) -> Span:
        """The value's place, or the key's where there is no value."""
        at = self.value.span
        return self.key.span if (at.line, at.column) == (at.end_line, at.end_column) else at


class Map(Struct, frozen=True, eq=False):
    span: Span
    entries: dict[str, Entry] = field(default_factory=dict)
    size: int = 1
    height: int = 1

    def get(self, key: str) -> Node | None:
        entry = self.entries.get(key)
        return entry.value if entry else None

    def without(self, *keys: str) -> Map:
        return Map(
            self.span, {k: e for k, e in self.entries.items() if k not in keys}, self.size, self.height
        )


Node = Scalar | Seq | Map
Path = Sequence[str | int]


def walk(root: Node, path: Path) -> tuple[Node, Entry | None]:
    """The node at `path`, or the deepest one on the way there, and the entry it belongs to."""
    node: Node = root
    entry: Entry | None = None
    for step in path:
        if isinstance(node, Map) and str(step) in node.entries:
            entry = node.entries[str(step)]
            node = entry.value
        elif isinstance(node, Seq) and isinstance(step, int) and 0 <= step < len(node.items):
            node, entry = node.items[step], None
        elif isinstance(node, Seq) and (item := _named(node, step)):
            node, entry = item, None
        elif step != 0 or isinstance(node, Seq):
            break  # but one value may stand for a list of one
    return node, entry


def _named(node: Seq, name: str | int) -> Scalar | None:
    """An item of a list of names."""
    return next((item for item in node.items if isinstance(item, Scalar) and item.text == name), None)


def span_at(root: Node, path: Path) -> Span:
    """The place of the value at `path` (of its key, where it is empty), or of the nearest thing above it."""
    node, entry = walk(root, path)
    return entry.span if entry else node.span


def kind(node: Node) -> str:
    """What a node is, in a user's words."""
    if isinstance(node, Map):
        return "a map"
    if isinstance(node, Seq):
        return "a list"
    return kind_of(node.value)


def kind_of(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, dict):
        return "a map"
    return "a list" if isinstance(value, (list, tuple)) else "text"


def moved(node: Node, lines: int) -> Node:
    """The same, so many lines further down."""
    at = node.span
    span = Span(at.file, at.line + lines, at.column, at.end_line + lines, at.end_column)
    if isinstance(node, Scalar):
        return Scalar(span, node.text, node.value, node.style, node.raw, node.size, node.height, node.home)
    if isinstance(node, Seq):
        return Seq(span, tuple([moved(item, lines) for item in node.items]), node.size, node.height)
    entries = {name: moved_entry(entry, lines) for name, entry in node.entries.items()}
    return Map(span, entries, node.size, node.height)


def moved_entry(entry: Entry, lines: int) -> Entry:
    key = moved(entry.key, lines)
    assert isinstance(key, Scalar)
    return Entry(key, moved(entry.value, lines))


def scalars(node: Node) -> Iterator[Scalar]:
    """Every value below, in order."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Seq):
        for item in node.items:
            yield from scalars(item)
    else:
        for entry in node.entries.values():
            yield from scalars(entry.value)


def plain(node: Node) -> Any:
    """Maps, lists and values, as any YAML reader would give them."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Seq):
        return [plain(item) for item in node.items]
    return {name: plain(entry.value) for name, entry in node.entries.items()}
