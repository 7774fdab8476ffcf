"""`include`: the servers, jobs and variables of other stack files become part of this one.

Decides names (with the prefix), what is there twice, and that nothing includes itself. What its words mean stays what
they mean in that file (`home`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field

from launchpad.errors import Diagnostic, Label, Span
from launchpad.stack import machine, rules
from launchpad.stack.again import alike
from launchpad.stack.extends import Source, heirs
from launchpad.stack.home import Home, settled
from launchpad.stack.merge import normal, under
from launchpad.stack.nodes import Entry, Map, Scalar, Seq, kind
from launchpad.stack.problems import (
    BOUNDS,
    NAME,
    REUSE,
    SET,
    UNREADABLE,
    VALUE,
    did_you_mean,
    error,
    shown,
)
from launchpad.stack.recipes import for_all
from launchpad.stack.reuse import Include, Including
from launchpad.stack.schema import JOB_ONLY
from launchpad.stack.scope import World
from launchpad.stack.source import read
from launchpad.stack.validate import Converter, validate

MOST_FILES = 100
GROUPS = ("servers", "jobs", "vars")


class Opened(Struct, frozen=True):
    """A file that is being read, and where that was asked for."""

    path: Path
    span: Span | None = None


class Files(Struct):
    """Reads what a stack file names. `ok`: everything could be read that has to be."""

    directory: str
    early: World
    problems: list[Diagnostic]
    inputs: list[Path] = field(default_factory=list)
    ok: bool = True
    heirless: list[str] = field(default_factory=list)
    """What extends something that is not there."""
    homes: list[tuple[Home, Map]] = field(default_factory=list)
    """Every other file, with its top level."""
    _roots: dict[Path, Map | None] = field(default_factory=dict)
    _count: int = 0

    def stop(self, problem: Diagnostic) -> None:
        """What depends on this cannot be told."""
        self.problems.append(problem)
        self.ok = False

    def open(self, path: Path, home: Home, span: Span) -> Map | None:
        """The file at `path`, at home there; None, and the problem noted, where it cannot be read."""
        self._count += 1
        if self._count > MOST_FILES:
            self.stop(error(BOUNDS, f"more than {MOST_FILES} files are included", span))
            return None
        if path not in self._roots:
            self._roots[path] = self._read(path, span)
        root = self._roots[path]
        return None if root is None else settled(root, home)

    def _read(self, path: Path, span: Span) -> Map | None:
        if path not in self.inputs:  # also where it is not there: it may appear
            self.inputs.append(path)
        if not machine.exists(path):
            self.stop(error(UNREADABLE, f"there is no file `{path}`", span))
            return None
        found = read(path)
        self.problems += found.problems
        if found.root is None:
            self.ok = False
            return None
        return normal(found.root, self.problems)

    def place(self, path: Path) -> str:
        """The folder of a file, empty where it is the stack's own."""
        return "" if str(path.parent) == self.directory else str(path.parent)


def target(source: Path, text: str) -> Path:
    """The file that is named in `source`."""
    return Path(os.path.normpath(source.parent / machine.at_home(text)))


def expanded(files: Files, root: Map, home: Home | None, opened: tuple[Opened, ...]) -> tuple[Map, set[str]]:
    """The file with what it includes, and the names of what came from there; the last of `opened` is the file."""
    entry = root.entries.get("include")
    if entry is None:
        return root, set()
    merged = _Merged()
    for one, node in _items(files, entry):
        span = (node.entries["file"].span if isinstance(node, Map) else node.span) if node else entry.span
        path = target(opened[-1].path, one.file)
        chain = (*opened, Opened(path, span))
        if any(before.path == path for before in opened):
            files.stop(_circle(chain))
            continue
        inner = Home(files.place(path), one.prefix, home)
        part = _part(files, inner, chain)
        if part is not None:
            files.problems += merged.add(_with_vars(files, part, node), one.prefix, span)
    files.problems += merged.add(root, "", None)
    return merged.into(root.without("include")), set(merged.foreign)


def _items(files: Files, entry: Entry) -> Iterator[tuple[Include, Scalar | Map | None]]:
    """Each file that is named, and how that is written. Variables are not filled in yet."""
    nodes = entry.value.items if isinstance(entry.value, Seq) else (entry.value,)
    bare = tuple(node.without("vars") if isinstance(node, Map) else node for node in nodes)
    value = Seq(entry.value.span, bare) if isinstance(entry.value, Seq) else bare[0]
    only = Map(entry.span, {"include": Entry(entry.key, value)})
    model, problems = validate(Including, only, Converter(files.early, early=True))
    files.problems += problems
    if model is None:
        files.ok = False
        return
    for one, node in zip(model.include, nodes, strict=True):
        yield one, node if isinstance(node, (Scalar, Map)) else None


def _part(files: Files, home: Home, opened: tuple[Opened, ...]) -> Map | None:
    """One included file as it is when it stands alone: with what it includes and extends, and its own defaults."""
    path, span = opened[-1].path, opened[-1].span
    assert span is not None
    root = files.open(path, home, span)
    if root is None:
        return None
    files.homes.append((home, root))
    for key in (*GROUPS, "defaults"):
        files.problems += rules.shape(key, root.get(key))
    root, foreign = expanded(files, root, home, opened)
    home.services.update(dict.fromkeys(name for key in ("servers", "jobs") for name in names(root, key)))
    home.vars.update(dict.fromkeys(names(root, "vars")))
    root = heirs(Source(files, root, home, opened, foreign))
    return with_defaults(files, root, foreign)


def names(root: Map, key: str) -> list[str]:
    group = root.get(key)
    return [name for name in group.entries if not name.startswith("x-")] if isinstance(group, Map) else []


def with_defaults(files: Files, root: Map, foreign: set[str]) -> Map:
    """Every service that is written there, with the defaults beneath it."""
    defaults = root.get("defaults")
    if not isinstance(defaults, Map):
        return root
    defaults = for_all(defaults, files.problems)
    entries = dict(root.entries)
    for key, drop in (("servers", JOB_ONLY), ("jobs", ())):
        group = root.get(key)
        if isinstance(group, Map):
            inner = {
                name: Entry(entry.key, under(defaults, entry.value, drop))
                if isinstance(entry.value, Map) and name not in foreign
                else entry
                for name, entry in group.entries.items()
            }
            entries[key] = Entry(entries[key].key, Map(group.span, inner, group.size, group.height))
    return Map(root.span, entries, root.size, root.height)


def _with_vars(files: Files, part: Map, node: Scalar | Map | None) -> Map:
    """With the values that are given where it is included."""
    given = node.entries.get("vars") if isinstance(node, Map) else None
    if given is None:
        return part
    if not isinstance(given.value, Map):
        message = f"`vars` is a map of names, and this is {kind(given.value)}"
        files.problems.append(error(VALUE, message, given.span))
        return part
    own = part.get("vars")
    entries = dict(own.entries) if isinstance(own, Map) else {}
    for name, entry in given.value.entries.items():
        if name in entries:
            entries[name] = Entry(entries[name].key, entry.value)
        elif not name.startswith("x-"):
            message = f"there is no variable `{shown(name)}` in `vars` of that file"
            files.problems.append(error(SET, message, entry.key.span, hint=did_you_mean(name, entries)))
    key = part.entries["vars"].key if "vars" in part.entries else given.key
    return Map(part.span, {**part.entries, "vars": Entry(key, Map(given.value.span, entries))})


class _Merged(Struct):
    """What several files have together."""

    groups: dict[str, dict[str, Entry]] = field(default_factory=lambda: {key: {} for key in GROUPS})
    foreign: dict[str, None] = field(default_factory=dict)
    _included: dict[tuple[str, str], Span] = field(default_factory=dict)

    def add(self, part: Map, prefix: str, included: Span | None) -> Iterator[Diagnostic]:
        """`included`: where; None for the file itself, whose order comes last."""
        for key in GROUPS:
            group = part.get(key)
            for name, entry in group.entries.items() if isinstance(group, Map) else ():
                if name.startswith("x-") and included is not None:
                    continue
                one = Entry(_renamed(entry.key, prefix + name), entry.value) if prefix else entry
                name = prefix + name
                yield from self._add(key, name, one, included)

    def _add(self, key: str, name: str, one: Entry, included: Span | None) -> Iterator[Diagnostic]:
        kind = "vars" if key == "vars" else ""
        before = self._before(kind, name)
        if before is None:
            self.groups[key][name] = one
            if included is not None:
                self._included[kind, name] = included
            if included is not None and not kind:
                self.foreign[name] = None
        elif included is None or not _same(before, one):  # else it is the very same, by two ways
            yield self._twice(kind, name, before, one, included)

    def _before(self, kind: str, name: str) -> Entry | None:
        keys = ("vars",) if kind else ("servers", "jobs")
        if (kind, name) not in self._included:
            return None  # twice in one file is told elsewhere
        return next((self.groups[key][name] for key in keys if name in self.groups[key]), None)

    def _twice(self, kind: str, name: str, before: Entry, one: Entry, included: Span | None) -> Diagnostic:
        what = "the variable " if kind else ""
        first, second = before.key.span, one.key.span
        if first == second and included is not None:
            first, second = self._included[kind, name], included
        hint = "give one of the included files a `prefix`"
        if kind:
            hint = f"`vars: {{{name}: …}}` at `include` gives it another value, `prefix` another name"
        message = f"{what}`{shown(name)}` is there twice"
        return error(NAME, message, second, "here", others=[Label(first, "and here")], hint=hint)

    def into(self, root: Map) -> Map:
        entries = dict(root.entries)
        for key in GROUPS:
            if self.groups[key]:
                word = entries[key].key if key in entries else Scalar(root.span, key, key)
                span = entries[key].value.span if key in entries else root.span
                entries[key] = Entry(word, Map(span, self.groups[key]))
        return Map(root.span, entries, root.size, root.height)


def _renamed(key: Scalar, name: str) -> Scalar:
    return Scalar(key.span, name, name, key.style, key.raw, home=key.home)


def _same(one: Entry, other: Entry) -> bool:
    return one.key.span == other.key.span and (
        one.value.span == other.value.span or alike(one.value, other.value)
    )


def _circle(chain: tuple[Opened, ...]) -> Diagnostic:
    """The last one was opened before."""
    begin = next(index for index, one in enumerate(chain) if one.path == chain[-1].path)
    steps = chain[begin:]
    path = " -> ".join(_short(one.path, steps) for one in steps)
    labels = [
        Label(two.span, f"{_short(one.path, steps)} includes {_short(two.path, steps)}")
        for one, two in itertools.pairwise(steps)
        if two.span is not None
    ]
    span, *others = reversed(labels)
    return error(REUSE, "files include each other", span.span, span.text, others=others, notes=[path])


def _short(path: Path, steps: tuple[Opened, ...]) -> str:
    """By its name, where that tells it from the others."""
    same = {one.path for one in steps if one.path.name == path.name}
    return path.name if len(same) == 1 else str(path)
