"""`extends`: the keys of another service lie beneath those of this one.

Decides where that service is found, and that nothing extends itself. How two services are merged is `merge`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from launchpad.errors import Diagnostic, Label, Span
from launchpad.stack.home import Home, service_name
from launchpad.stack.merge import normal_one, under
from launchpad.stack.nodes import Entry, Map, Node, scalars
from launchpad.stack.problems import REFERENCE, REUSE, VALUE, did_you_mean, error, shown
from launchpad.stack.recipes import for_all
from launchpad.stack.reuse import Extends
from launchpad.stack.schema import JOB_ONLY, Defaults
from launchpad.stack.validate import Converter, validate

if TYPE_CHECKING:
    from launchpad.stack.include import Files, Opened

KEY = "extends"


class Source(Struct):
    """One file, with what it includes (`foreign`, which is in order by itself). The last of `opened` is it."""

    files: Files
    root: Map
    home: Home | None
    opened: tuple[Opened, ...]
    foreign: set[str]
    done: dict[str, Map | None] = field(default_factory=dict)
    others: dict[Path, Source] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.opened[-1].path

    def find(self, name: str) -> Entry | None:
        """Servers, jobs, and maps of the user's own."""
        for key in ("servers", "jobs"):
            group = self.root.get(key)
            if isinstance(group, Map) and name in group.entries:
                return group.entries[name]
        entry = self.root.entries.get(name) if name.startswith("x-") else None
        return normal_one(entry, self.files.problems) if entry is not None else None

    def names(self) -> list[str]:
        found = [name for name in self.root.entries if name.startswith("x-")]
        for key in ("servers", "jobs"):
            group = self.root.get(key)
            found += group.entries if isinstance(group, Map) else ()
        return found

    def is_server(self, name: str) -> bool:
        group = self.root.get("servers")
        return isinstance(group, Map) and name in group.entries


class _Step(Struct, frozen=True):
    """`of` extends something, which is said at `span`."""

    path: Path
    of: str
    span: Span


def heirs(source: Source) -> Map:
    """The file, in which nothing extends anything any more."""
    entries = dict(source.root.entries)
    for key in ("servers", "jobs"):
        group = source.root.get(key)
        if isinstance(group, Map) and any(_extends(entry) for entry in group.entries.values()):
            inner = {
                name: Entry(entry.key, _heir(source, name, entry)) if _extends(entry) else entry
                for name, entry in group.entries.items()
            }
            entries[key] = Entry(entries[key].key, Map(group.span, inner, group.size, group.height))
    return Map(source.root.span, entries, source.root.size, source.root.height)


def _extends(entry: Entry) -> bool:
    return isinstance(entry.value, Map) and KEY in entry.value.entries


def _heir(source: Source, name: str, entry: Entry) -> Map:
    """Where it cannot be said what it is, it is remembered as such."""
    assert isinstance(entry.value, Map)
    found = _whole(source, name, ())
    if found is None and not name.startswith("x-"):
        source.files.heirless.append(service_name(source.home, name))
    return entry.value.without(KEY) if found is None else found


def _whole(source: Source, name: str, chain: tuple[_Step, ...]) -> Map | None:
    """The service with what it extends beneath it; None where that is not known, and has been told."""
    if name not in source.done:
        source.done[name] = _looked_up(source, name, chain)
    return source.done[name]


def _looked_up(source: Source, name: str, chain: tuple[_Step, ...]) -> Map | None:
    entry = source.find(name)
    if entry is None or not isinstance(entry.value, Map):
        return None
    tree = entry.value
    if KEY not in tree.entries:
        return tree
    said = tree.entries[KEY]
    wanted = _said(source, said)
    if wanted is None:
        return None
    if any((step.path, step.of) == (source.path, name) for step in chain):
        source.files.problems.append(_circle(chain, source.path, name))
        return None
    parent = _parent(source, wanted, said, (*chain, _Step(source.path, name, said.span)))
    if parent is None:
        return None
    return under(parent, tree.without(KEY), JOB_ONLY if source.is_server(name) else ())


def _said(source: Source, entry: Entry) -> Extends | None:
    only = Map(entry.span, {KEY: entry})
    model, problems = validate(Defaults, only, Converter(source.files.early, early=True))
    source.files.problems += problems
    if model is not None and model.extends is None:
        source.files.problems.append(error(VALUE, f"`{KEY}` has no value", entry.key.span))
    return model.extends if model else None


def _parent(source: Source, wanted: Extends, said: Entry, chain: tuple[_Step, ...]) -> Map | None:
    other = source if wanted.file is None else _other(source, wanted.file, said)
    if other is None:
        return None
    name = wanted.service
    if other.find(name) is None and "include" in other.root.entries:
        other = _with_included(other)
    if other.find(name) is None:
        span = said.value.entries["service"].span if isinstance(said.value, Map) else said.span
        where = "" if other is source else f" in `{other.path.name}`"
        message = f"there is no server or job `{shown(name)}`{where} that could be extended"
        hint = did_you_mean(name, (n for n in other.names() if other is not source or n != chain[-1].of))
        source.files.problems.append(error(REFERENCE, message, span, hint=hint))
        return None
    tree = _whole(other, name, chain)
    defaults = other.root.get("defaults")
    if tree is None or other is source or name in other.foreign or not isinstance(defaults, Map):
        return tree
    defaults = for_all(defaults, source.files.problems)
    return under(defaults, tree, JOB_ONLY if other.is_server(name) else ())


def _other(source: Source, text: str, said: Entry) -> Source | None:
    """Another file. What it does not say itself, means what it means here."""
    from launchpad.stack.include import Opened, target

    path = target(source.path, text)
    if path == source.path:
        return source
    if path not in source.others:
        span = said.value.entries["file"].span if isinstance(said.value, Map) else said.span
        home = Home(source.files.place(path), outer=source.home)
        root = source.files.open(path, home, span)
        if root is None:
            return None
        _know(home, root.get("vars"))
        source.files.homes.append((home, root))
        opened = (*source.opened, Opened(path, span))
        source.others[path] = Source(source.files, root, home, opened, set())
    return source.others[path]


def _know(home: Home, variables: Node | None) -> None:
    """What the file has under `vars` is for its own words."""
    if isinstance(variables, Map):
        home.values = {name: entry.value for name, entry in variables.entries.items()}
        texts = (f"{one.style}{one.text}" for one in scalars(variables))
        home.written = tuple(zip(variables.entries, texts, strict=False))


def _with_included(source: Source) -> Source:
    from launchpad.stack.include import expanded

    root, foreign = expanded(source.files, source.root, source.home, source.opened)
    return replace(source, root=root, foreign=foreign, done={})


def _circle(chain: tuple[_Step, ...], path: Path, name: str) -> Diagnostic:
    begin = next(i for i, step in enumerate(chain) if (step.path, step.of) == (path, name))
    steps = chain[begin:]
    names = [step.of for step in steps] + [name]
    labels = [Label(step.span, f"{step.of} extends {on}") for step, on in zip(steps, names[1:], strict=True)]
    return error(
        REUSE, "services extend each other", labels[0].span, labels[0].text, others=labels[1:],
        notes=[" -> ".join(names)], hint="take `extends` out of one of them",
    )  # fmt: skip
