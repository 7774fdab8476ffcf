"""Reads a YAML file strictly, into nodes that know their places.

Decides what is refused before any key is looked at: bytes that are no text, bad YAML, two equal keys, tags,
several documents, aliases that grow without end, too deep, too large. Knows no keys.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct, field

from launchpad.errors import Diagnostic, Label, Span
from launchpad.stack import machine, syntax
from launchpad.stack.files import MAX_BYTES
from launchpad.stack.nodes import BREAK, Entry, Map, Node, Scalar, Seq, kind, resolve
from launchpad.stack.problems import BOUNDS, DUPLICATE, UNREADABLE, UNSUPPORTED_YAML, Stop, error, shown

MAX_DEPTH = 40
MAX_NODES = 250_000
"""Counted with aliases expanded."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE_ASCII = re.compile("[^\t\n\r\x20-\x7e]")
_UNPRINTABLE = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
"""To compile it takes some milliseconds."""
_STRANGE = re.compile("[\r\x85\u2028\u2029]|^%", re.MULTILINE)
"""Lines that end otherwise, and directives."""
_NOT_ALONE = re.compile(r"^(?:---|\.\.\.)|<<|^[ -]*\?(?:[ \t]|$)", re.MULTILINE)
"""The end of a document, merged maps, and keys whose value may be nothing at a place that what follows decides."""
_YAML_TAG = "tag:yaml.org,2002:"
_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "null": (type(None),),
}


class Read(Struct):
    """One file as it was read. `root` is missing where reading had to stop. `text` is None where a part of it may mean
    something else without what stands before it: an anchor, a directive, another end of a line."""

    file: str
    root: Map | None = None
    problems: list[Diagnostic] = field(default_factory=list)
    text: str | None = None


def read(path: Path, *, empty_ok: bool = False) -> Read:
    """Read `path`; whatever is wrong with it is in the result's `problems`. Never raises."""
    result = Read(str(path))
    try:
        text = _text(path)
        composer = _Composer(result.file, text, result.problems)
        result.root = _top(composer.compose(), result.file, empty_ok)
        result.text = None if composer.anchors or _STRANGE.search(text) else text
    except Stop as stop:
        result.problems.append(stop.diagnostic)
    return result


def read_part(file: str, group: str, lines: str, first: int) -> Map | None:
    """Entries of `group`, which is a map at the top of a file; from line `first` on they stand there as `lines`. They are
    what they would be if all of it was read. None where that needs more than them, or anything is wrong."""
    if _unprintable(lines) or _STRANGE.search(lines) or _NOT_ALONE.search(lines):
        return None
    problems: list[Diagnostic] = []
    composer = _Composer(file, f"{group}:\n{lines}", problems, above=first - 2)
    try:
        root = composer.compose()
    except Stop:
        return None
    if problems or composer.anchors or not isinstance(root, Map) or list(root.entries) != [group]:
        return None
    found = root.entries[group].value
    return found if isinstance(found, Map) else None


def _top(node: Node | None, file: str, empty_ok: bool) -> Map:
    if node is None or (isinstance(node, Scalar) and node.value is None):
        if empty_ok:
            return Map(_spot(file))
        hint = "a first stack file: `launchpad init`"
        raise Stop(error(UNREADABLE, "the stack file is empty", _spot(file), hint=hint))
    if isinstance(node, Map):
        return node
    message = f"a stack file is a map of keys, and this is {kind(node)}"
    hint = "begin with `servers:` or `jobs:`"
    raise Stop(error(UNSUPPORTED_YAML, message, node.span, hint=hint))


def _spot(file: str, line: int = 1, column: int = 1) -> Span:
    return Span(file, line, column, line, column + 1)


def _text(path: Path) -> str:
    """The file's text. Raises Stop where it cannot be read, is too large or is not text."""
    file = str(path)
    try:
        data = machine.content(path)
    except FileNotFoundError:
        raise Stop(error(UNREADABLE, f"there is no file `{file}`")) from None
    except OSError as problem:
        raise Stop(error(UNREADABLE, f"`{file}` cannot be read: {reason(problem)}")) from None
    if len(data) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES // 1000} kB, which no stack file is"
        raise Stop(error(BOUNDS, message, _spot(file)))
    return decode(data, file)


def reason(problem: OSError) -> str:
    """Why the system refused, in its own words."""
    return (problem.strerror or "unknown reason").lower()


def decode(data: bytes, file: str) -> str:
    """UTF-8 text without control characters. Raises Stop with the place of the first byte that is not."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        before = data[: problem.start].decode("utf-8-sig", "replace")
        message = f"the file is not UTF-8 text (byte 0x{data[problem.start]:02x})"
        raise Stop(error(UNREADABLE, message, _after(file, before))) from None
    if match := _unprintable(text):
        message = f"the file holds a control character (U+{ord(match.group()):04X}); it is not a text file"
        raise Stop(error(UNREADABLE, message, _after(file, text[: match.start()])))
    return text


def _unprintable(text: str) -> re.Match[str] | None:
    return (_UNPRINTABLE_ASCII if text.isascii() else re.compile(_UNPRINTABLE)).search(text)


def _after(file: str, before: str) -> Span:
    lines = BREAK.split(before)
    return _spot(file, len(lines), len(lines[-1]) + 1)


class _Frame(Struct):
    """A list or map that is being read. A map's children alternate: key, value, key, value."""

    is_map: bool
    anchor: str | None
    start: Any
    flow: bool
    children: list[Node] = field(default_factory=list)


class _Composer:
    """Turns the parser's events into nodes, without recursion, so that no depth can exhaust the stack."""

    def __init__(self, file: str, text: str, problems: list[Diagnostic], above: int = 0) -> None:
        """`above`: how many lines of the file stand before the text."""
        self.file = file
        self.above = above + 1
        self.text = text
        self.problems = problems
        self.starts = [0, *(m.end() for m in BREAK.finditer(text))]
        self.frames: list[_Frame] = []
        self.anchors: dict[str, Node | None] = {}
        """None while the node is still being read: an alias to it would contain itself."""
        self.root: Node | None = None
        self.documents = 0
        self.total = 0

    def compose(self) -> Node | None:
        try:
            for event in yaml.parse(self.text, Loader=_LOADER):
                self._take(event)
        except yaml.YAMLError as problem:
            raise Stop(syntax.explain(problem, self.file, self.text)) from None
        return self.root

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event), event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self._stop(
                    UNSUPPORTED_YAML, "a stack file holds one document, and here a second one begins", event
                )

    def _span(self, event: Any) -> Span:
        start, end = event.start_mark, event.end_mark
        above = self.above
        return Span(self.file, start.line + above, start.column + 1, end.line + above, end.column + 1)

    def _stop(self, code: str, message: str, event: Any, hint: str = "") -> None:
        span = self._span(event)
        if (span.line, span.column) == (span.end_line, span.end_column):
            span = _spot(self.file, span.line, span.column)
        raise Stop(error(code, message, span, hint=hint))

    def _index(self, mark: Any) -> int:
        return int(self.starts[min(mark.line, len(self.starts) - 1)] + mark.column)

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        style = event.style or ""
        span, raw = self._span(event), self.text[self._index(event.start_mark) : self._index(event.end_mark)]
        if "\0" in event.value:
            self._stop(UNSUPPORTED_YAML, "a NUL character cannot be passed to a process", event)
        value = resolve(event.value) if style == "" else event.value
        tag = event.tag
        if tag and not event.implicit[0]:
            value = self._tagged(event, tag)
        return Scalar(span, event.value, value, style, raw)

    def _tagged(self, event: Any, tag: str) -> Any:
        name = tag.removeprefix(_YAML_TAG)
        if tag == "!" or (name == "str" and tag != name):
            return event.value
        value = resolve(event.value)
        if tag != name and name in _KINDS:
            if type(value) in _KINDS[name]:
                return value
            self._stop(UNSUPPORTED_YAML, f"`{shown(event.value)}` is not what its tag `!!{name}` says", event)
        self._refuse_tag(event, tag)
        return None

    def _refuse_tag(self, event: Any, tag: str) -> None:
        name = f"!!{tag.removeprefix(_YAML_TAG)}" if tag.startswith(_YAML_TAG) else tag
        self._stop(
            UNSUPPORTED_YAML, f"the tag `{shown(name)}` is not allowed here", event, "leave the tag out"
        )

    def _open(self, event: Any) -> None:
        is_map = isinstance(event, yaml.MappingStartEvent)
        if event.tag and event.tag not in ("!", f"{_YAML_TAG}{'map' if is_map else 'seq'}"):
            self._refuse_tag(event, event.tag)
        if len(self.frames) >= MAX_DEPTH:
            self._stop(BOUNDS, f"nested more than {MAX_DEPTH} levels deep", event)
        if event.anchor:
            self.anchors[event.anchor] = None
        self.frames.append(_Frame(is_map, event.anchor, event.start_mark, bool(event.flow_style)))

    def _close(self, event: Any) -> None:
        frame = self.frames.pop()
        start = frame.start
        last = frame.children[-1].span if frame.children else None
        if frame.flow or last is None:
            end = (event.end_mark.line + self.above, event.end_mark.column + 1)
        else:
            end = (last.end_line, last.end_column)
        span = Span(self.file, start.line + self.above, start.column + 1, *end)
        size = 1 + sum(child.size for child in frame.children)
        height = 1 + max((child.height for child in frame.children), default=0)
        node: Node
        if frame.is_map:
            node = self._map(frame, span, size, height)
        else:
            node = Seq(span, tuple(frame.children), size, height)
        self._add(node, frame.anchor)

    def _alias(self, event: yaml.AliasEvent) -> None:
        name = str(event.anchor)
        if name not in self.anchors:
            self._stop(UNSUPPORTED_YAML, f"there is no anchor `&{shown(name)}` above this alias", event)
        node = self.anchors[name]
        if node is None:
            self._stop(BOUNDS, f"the alias `*{shown(name)}` would contain itself", event)
            return
        self.total += node.size
        if self.total > MAX_NODES:
            self._stop(BOUNDS, f"the aliases expand to more than {MAX_NODES} values", event)
        if len(self.frames) + node.height > MAX_DEPTH:
            self._stop(BOUNDS, f"nested more than {MAX_DEPTH} levels deep", event)
        self._add(node, None)

    def _add(self, node: Node, anchor: str | None) -> None:
        self.total += 1
        if self.total > MAX_NODES:
            raise Stop(error(BOUNDS, f"more than {MAX_NODES} values, which no stack file has", node.span))
        if anchor:
            self.anchors[anchor] = node
        if self.frames:
            self.frames[-1].children.append(node)
        elif self.root is None:
            self.root = node

    def _map(self, frame: _Frame, span: Span, size: int, height: int) -> Map:
        entries: dict[str, Entry] = {}
        merged: list[Map] = []
        for key, value in zip(frame.children[::2], frame.children[1::2], strict=True):
            if not isinstance(key, Scalar) or (key.value is None and not key.text):
                what = (
                    "a key is missing before this `:`"
                    if isinstance(key, Scalar)
                    else f"{kind(key)} cannot be a key"
                )
                self.problems.append(error(UNSUPPORTED_YAML, what, key.span))
            elif key.style == "" and key.text == "<<":
                merged.extend(self._merges(value))
            elif key.text in entries:
                self.problems.append(self._twice(entries[key.text].key, key))
            else:
                entries[key.text] = Entry(key, value)
        for other in merged:
            for name, entry in other.entries.items():
                entries.setdefault(name, entry)
        return Map(span, entries, size, height)

    def _merges(self, value: Node) -> list[Map]:
        items = value.items if isinstance(value, Seq) else (value,)
        for item in items:
            if not isinstance(item, Map):
                message = f"`<<` takes a map or a list of maps, and this is {kind(item)}"
                self.problems.append(error(UNSUPPORTED_YAML, message, item.span))
        return [item for item in items if isinstance(item, Map)]

    def _twice(self, first: Scalar, second: Scalar) -> Diagnostic:
        name = shown(second.text)
        others = [Label(first.span, "first given here")]
        return error(DUPLICATE, f"`{name}` is given twice", second.span, "given again here", others=others)
