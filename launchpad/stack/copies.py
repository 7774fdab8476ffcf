"""`replicas: N`: N copies `llm-0`, `llm-1`…, each a service of its own, and `llm` the name of them all.

Decides the names, and what a need of all copies is: a need of each. Refuses to know what `${llm.urls}` is worth
(`scope`), and how many copies there are to be (it is told).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from launchpad.errors import Diagnostic, Label, Span
from launchpad.stack.asked import Scaled
from launchpad.stack.home import service_name
from launchpad.stack.nodes import Entry, Map, Node, Scalar, Seq
from launchpad.stack.problems import CONFLICT, NAME, SET, did_you_mean, error, shown
from launchpad.stack.schema import Defaults
from launchpad.stack.scope import View, World
from launchpad.stack.validate import Converter, validate

KEY = "replicas"

Groups = Mapping[str, tuple[str, ...]]
"""Name → its copies."""
Fill = Callable[[Scalar], str | None]
"""The text of a name in `depends_on`, filled in; None where it cannot be, which is told elsewhere."""


class Expanded(Struct):
    """`origin`: each service → the name that it has in the file."""

    trees: dict[str, Map] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)


class Counts:
    """How many copies of each service there are to be."""

    def __init__(self, world: World, trees: Mapping[str, Map], scaled: Collection[Scaled]) -> None:
        self._trees, self._asked = trees, {one.name: one for one in scaled}
        self._world = replace(world, problems=[], _filled={})
        self._written: dict[str, int | None] = {}
        self.scaled: tuple[Scaled, ...] = ()

    def of(self, name: str) -> int | None:
        """None where the file's own number is not right, which is told when the service is looked at."""
        tree = self._trees[name]
        only = Map(tree.span, {KEY: tree.entries[KEY]})
        model, _ = validate(Defaults, only, Converter(self._world))
        written = self._written[name] = model.replicas if model else None
        asked = self._asked.get(name)
        if written is None or asked is None or asked.instead_of not in (None, written):
            return written
        if asked.count != written:
            self.scaled = (*self.scaled, replace(asked, instead_of=written))
        return asked.count

    def problems(self, places: Mapping[str, Span]) -> Iterator[Diagnostic]:
        """What was asked for just now, and of what there is nothing like it. `places`: where each name stands."""
        for one in self._asked.values():
            if one.instead_of is None and one.name not in self._trees:
                hint = did_you_mean(one.name, self._trees)
                yield error(SET, f"there is no server or job `{shown(one.name)}`", hint=hint)
            elif one.instead_of is None and one.name not in self._written:
                message = f"`{one.name}` cannot be scaled: it has no `replicas`"
                hint = f"`replicas: 1` makes it `{one.name}-0`, one copy of as many as you like"
                yield error(SET, message, places.get(one.name), hint=hint)

    def name(self, node: Scalar) -> str | None:
        """A name in `depends_on`, filled in."""
        if "$" not in node.text:
            return node.text
        word = self._world.fill(node, View(self._world))
        return None if word is None or word.reference else str(word)


def expand(
    trees: Mapping[str, Map], count: Callable[[str], int | None], places: Mapping[str, Span]
) -> Expanded:
    """Every service with its copies in its place. `count`: of a service with `replicas`, how many there are; None where
    that is not known, and the service stays as it is. `places`: where each name stands."""
    found = Expanded()
    for name, tree in trees.items():
        number = count(name) if KEY in tree.entries else None
        if number is None:
            found.trees[name], found.origin[name] = tree, name
            continue
        found.problems += _of_one(name, tree)
        found.groups[name] = tuple(f"{name}-{index}" for index in range(number))
        found.problems += _taken(name, found.groups[name], trees, places)
        one = tree.without(KEY)
        found.trees.update(dict.fromkeys(found.groups[name], one))
        found.origin.update(dict.fromkeys(found.groups[name], name))
    return found


def _taken(
    name: str, copies: Collection[str], names: Collection[str], places: Mapping[str, Span]
) -> Iterator[Diagnostic]:
    for copy in copies:
        if copy in names:
            others = [Label(places[name], f"`{copy}` is one of its copies")] if name in places else []
            message = f"`{copy}` is also the name of a copy of `{name}`"
            yield error(NAME, message, places.get(copy), "a service of this name", others=others)


def _of_one(name: str, tree: Map) -> Iterator[Diagnostic]:
    """What copies cannot share."""
    others = [Label(tree.entries[KEY].span, "copies are asked for here")]
    primary = tree.get("primary")
    if isinstance(primary, Scalar) and primary.value is True:
        message = f"`{name}` is `primary`, and of several copies none is"
        yield error(
            CONFLICT, message, tree.entries["primary"].span, others=others, hint="leave one of them out"
        )
    for file in _files(tree.get("output")):
        if "${self." not in file.text:
            message = f"the copies of `{name}` would all write into `{shown(file.text)}`"
            hint = "name them apart: `logs/${self.name}.log`"
            yield error(CONFLICT, message, file.span, others=others, hint=hint)


def _files(output: Node | None) -> Iterator[Scalar]:
    for item in output.items if isinstance(output, Seq) else (output,):
        if isinstance(item, Map):
            for key in ("file", "jsonl"):
                node = item.get(key)
                if isinstance(node, Scalar):
                    yield node


class Needs(Struct):
    """What one service needs. `said`: what is needed → what it is called where that is written; `groups`: likewise, what
    is needed as a whole."""

    tree: Map
    said: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)


def needs(tree: Map, groups: Groups, fill: Fill) -> Needs:
    """The service with `depends_on` naming what the whole stack calls so, and each copy where it names them all."""
    found = Needs(tree)
    entry = tree.entries.get("depends_on")
    if entry is None:
        return found
    node = _Naming(groups, fill, found).needs(entry.value)
    if node is not entry.value:
        entries = {**tree.entries, "depends_on": Entry(entry.key, node)}
        found.tree = Map(tree.span, entries, tree.size, tree.height)
    return found


class _Naming(Struct):
    groups: Groups
    fill: Fill
    found: Needs

    def needs(self, node: Node) -> Node:
        """The same node, where nothing is called otherwise."""
        if isinstance(node, Map):
            pairs = [(key, e.value) for e in node.entries.values() for key in self.each(e.key, e.key.text)]
            if [key.text for key, _ in pairs] == list(node.entries):
                return node
            return Map(node.span, {k.text: Entry(k, value) for k, value in pairs}, node.size, node.height)
        items = node.items if isinstance(node, Seq) else (node,)
        found = [one for item in items for one in self._item(item)]
        if list(items) == found:
            return node
        return Seq(node.span, tuple(found), node.size, node.height)

    def _item(self, item: Node) -> list[Node]:
        if not isinstance(item, Scalar) or item.value is None or (text := self.fill(item)) is None:
            return [item]
        return list(self.each(item, text))

    def each(self, written: Scalar, text: str) -> list[Scalar]:
        """What is meant, at the same place."""
        name = service_name(written.home, text)
        if name not in self.groups:
            self.found.said[name] = text
            return [_called(written, name)]
        self.found.groups[name] = text
        copies = self.groups[name]
        self.found.said.update({copy: f"{text}{copy.removeprefix(name)}" for copy in copies})
        return [_called(written, copy) for copy in copies]


def _called(written: Scalar, name: str) -> Scalar:
    if name == written.text:
        return written
    return Scalar(written.span, name, name, written.style, written.raw, home=written.home)
