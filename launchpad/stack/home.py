"""Where something was written, if not in the stack's own file: what its words mean is what they mean there.

Decides how the names of an included file become names of the whole stack, and which folder its paths are relative to.
Refuses to know what is done with them.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct, field

from launchpad.stack.nodes import Entry, Map, Node, Scalar, Seq

N = TypeVar("N", bound=Node)


class Home(Struct, eq=False):
    """One file that was read from another one, `outer` (None: from the stack's own). `base`: the folder that its paths
    are relative to, empty where that is the stack's own. `services` and `vars`: the names that it knows, which have
    `prefix` before them in `outer`; what it does not know means what it means there."""

    base: str
    prefix: str = ""
    outer: Home | None = None
    services: dict[str, None] = field(default_factory=dict)
    vars: dict[str, None] = field(default_factory=dict)
    env_files: dict[str, str] = field(default_factory=dict)
    """What its top-level `env_file` says."""
    values: dict[str, Node] = field(default_factory=dict)
    """Variables that are known to this file alone."""
    written: tuple[tuple[str, str], ...] = ()
    """How these are written."""

    @property
    def meaning(self) -> tuple[object, ...]:
        """Equal where all names and paths mean the same; variables by how they are written, not by their nodes."""
        outer = self.outer and self.outer.meaning
        return (self.base, self.prefix, self.services, self.vars, self.env_files, self.written, outer)


def service_name(home: Home | None, name: str) -> str:
    """What the whole stack calls it."""
    while home is not None:
        name = home.prefix + name if name in home.services else name
        home = home.outer
    return name


def var_name(home: Home | None, name: str) -> str:
    """What the whole stack calls a variable."""
    while home is not None:
        name = home.prefix + name if name in home.vars else name
        home = home.outer
    return name


def holder(home: Home | None, name: str) -> Home | None:
    """The file that knows this variable for itself."""
    while home is not None and name not in home.values:
        home = None if name in home.vars else home.outer
    return home


def known_services(home: Home | None) -> list[str]:
    """Names that mean something there, besides those of the whole stack."""
    return list(home.services) + known_services(home.outer) if home is not None else []


def env_files_around(home: Home | None) -> list[dict[str, str]]:
    """The files around it, the innermost last."""
    return [*env_files_around(home.outer), home.env_files] if home is not None else []


def settled(node: N, home: Home) -> N:
    """The same, at home there. What is there twice (an anchor) stays one."""
    done: dict[int, Node] = {}

    def settle(one: Node) -> Node:
        if id(one) not in done:
            done[id(one)] = _settled(one)
        return done[id(one)]

    def _settled(one: Node) -> Node:
        if isinstance(one, Scalar):
            return Scalar(one.span, one.text, one.value, one.style, one.raw, home=home)
        if isinstance(one, Seq):
            return Seq(one.span, tuple(map(settle, one.items)), one.size, one.height)
        entries = {name: Entry(_key(e.key), settle(e.value)) for name, e in one.entries.items()}
        return Map(one.span, entries, one.size, one.height)

    def _key(key: Scalar) -> Scalar:
        made = settle(key)
        assert isinstance(made, Scalar)
        return made

    return settle(node)  # type: ignore[return-value]


def housed(tree: Map) -> Map:
    """A service that says no `working_dir` runs in the folder of the file that says its `command`."""
    command = tree.get("command")
    first = command.items[0] if isinstance(command, Seq) and command.items else command
    if "working_dir" in tree.entries or not isinstance(first, Scalar) or first.home is None:
        return tree
    if not first.home.base:
        return tree
    key = Scalar(tree.entries["command"].key.span, "working_dir", "working_dir", home=first.home)
    value = Scalar(key.span, ".", ".", home=first.home)
    return Map(tree.span, {**tree.entries, "working_dir": Entry(key, value)}, tree.size + 2, tree.height)
