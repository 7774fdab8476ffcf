"""Merges maps of a stack file: the local file over the file, `defaults` under a service.

Decides on nodes, before anything is filled in or checked, so every value keeps the place where it was written.
"""

from __future__ import annotations

from launchpad.errors import Diagnostic, Label, Span
from launchpad.stack.nodes import Entry, Map, Node, Scalar, Seq, kind
from launchpad.stack.problems import DUPLICATE, VALUE, error, shown

_SHORT = {"ready": "http", "alive": "http", "restart": "policy"}
_KINDS = ("http", "tcp", "exec", "log", "file", "notify")


def overlay(base: Map, over: Map, *, null_removes: bool = True) -> Map:
    """`over` on `base`: maps are merged at every depth, anything else is replaced, null removes (but for
    `output`, where it is a value)."""
    entries = dict(base.entries)
    for key, entry in over.entries.items():
        is_null = isinstance(entry.value, Scalar) and entry.value.value is None
        if null_removes and is_null and key in entries and key != "output":
            del entries[key]
        elif key in entries:
            entries[key] = Entry(entry.key, _over(key, entries[key].value, entry.value, null_removes))
        else:
            entries[key] = entry
    return _map(base.span, entries)


def _over(key: str, base: Node, over: Node, null_removes: bool) -> Node:
    if isinstance(base, Map) and isinstance(over, Scalar) and key in _SHORT and over.value is not None:
        over = _long(key, over)
    if isinstance(base, Map) and isinstance(over, Map):
        if key in ("ready", "alive") and any(name in over.entries for name in _KINDS):
            base = base.without(*_KINDS)
        merged = overlay(base, over, null_removes=null_removes)
        return _map(over.span, merged.entries)
    return over


def _long(key: str, node: Scalar) -> Map:
    """`/health` as `{http: /health}`, `always` as `{policy: always}`, at the same place."""
    name = "tcp" if node.text.startswith("tcp://") else _SHORT[key]
    word = Scalar(node.span, name, name)
    return _map(node.span, {name: Entry(word, node)})


def _map(span: Span, entries: dict[str, Entry]) -> Map:
    values = [entry.value for entry in entries.values()]
    size = 1 + sum(1 + node.size for node in values)
    return Map(span, entries, size, 1 + max((node.height for node in values), default=0))


def under(defaults: Map, service: Map, drop: tuple[str, ...] = ()) -> Map:
    """A service with the defaults beneath it. `drop`: keys that do not concern it. `retries` says more than a
    default `restart`, and a service's own `restart` more than default `retries`."""
    base = defaults.without(*drop, *(key for key in defaults.entries if key.startswith("x-")))
    if "restart" not in service.entries and ("retries" in service.entries or "retries" in base.entries):
        base = base.without("restart")
    if "restart" in service.entries and "retries" not in service.entries:
        base = base.without("retries")
    return _map(service.span, overlay(base, service, null_removes=False).entries)


def normal(root: Map, problems: list[Diagnostic]) -> Map:
    """`environment` as a map everywhere, so that it merges whichever way it was written."""
    entries = dict(root.entries)
    for key in ("servers", "jobs"):
        group = root.get(key)
        if isinstance(group, Map):
            inner = {name: normal_one(entry, problems) for name, entry in group.entries.items()}
            entries[key] = Entry(entries[key].key, Map(group.span, inner, group.size, group.height))
    if "defaults" in entries:
        entries["defaults"] = normal_one(entries["defaults"], problems)
    return Map(root.span, entries, root.size, root.height)


def normal_one(entry: Entry, problems: list[Diagnostic]) -> Entry:
    """Of one service."""
    if not isinstance(entry.value, Map):
        return entry
    return Entry(entry.key, with_environment_map(entry.value, problems))


def with_environment_map(node: Map, problems: list[Diagnostic]) -> Map:
    """The same with `environment` as a map, so that it can be merged whichever way it was written."""
    entry = node.entries.get("environment")
    if entry is None or not isinstance(entry.value, Seq):
        return node
    entries: dict[str, Entry] = {}
    for item in entry.value.items:
        if not isinstance(item, Scalar):
            hint = "`- NAME=value`, or make `environment` a map"
            message = f"an item of `environment` is `NAME=value`, and this is {kind(item)}"
            problems.append(error(VALUE, message, item.span, hint=hint))
            continue
        one = _pair(item)
        if one.key.text in entries:
            others = [Label(entries[one.key.text].key.span, "first given here")]
            message = f"`{shown(one.key.text)}` is given twice"
            problems.append(error(DUPLICATE, message, item.span, "given again here", others=others))
        entries[one.key.text] = one
    changed = dict(node.entries)
    changed["environment"] = Entry(entry.key, _map(entry.value.span, entries))
    return Map(node.span, changed, node.size, node.height)


def _pair(item: Scalar) -> Entry:
    """`K=V` as the entry K: V, whose value is text; `K` as K: null."""
    name, equals, value = item.text.partition("=")
    key = Scalar(item.span, name, name, item.style, item.raw)
    if not equals:
        return Entry(key, Scalar(item.span, "", None, "", ""))
    before, _, raw = item.raw.partition("=")
    span = item.span
    if item.style not in ("|", ">") and "\n" not in before:
        span = Span(span.file, span.line, span.column + len(before) + 1, span.end_line, span.end_column)
        return Entry(key, Scalar(span, value, value, "'" if item.style == "" else item.style, raw))
    return Entry(key, Scalar(span, value, value, item.style, item.raw))
