"""What of a service need not be looked at again, when a file is read another time.

Decides when a service means what it meant in an earlier reading: it is written alike, and so is everything that its
strings may speak of. Places are no part of that: they are always those of the file as it is now.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from launchpad.stack.nodes import Map, Node, Scalar, Seq
from launchpad.stack.scope import Symbol, World


class Surroundings(Struct, frozen=True):
    """All that `${…}` in a service is filled from, but for the service itself."""

    directory: str
    name: str
    environ: Mapping[str, str]
    env_files: Mapping[str, object]
    set_vars: Mapping[str, str]
    vars: Mapping[str, object]
    symbols: Mapping[str, object]


def surroundings(world: World, environ: Mapping[str, str]) -> Surroundings:
    """`environ`: all of launchpad's own environment."""
    return Surroundings(
        world.directory,
        world.name,
        environ,
        {**world.env_files, "--env-file": dict(world.given)},
        dict(world.set_vars),
        {name: _plain(node) for name, node in world.vars.items()},
        {name: _outside(symbol) for name, symbol in world.symbols.items()},
    )


def is_told_alike(one: Symbol, other: Symbol) -> bool:
    """Whether others can say the same of both."""
    return _outside(one) == _outside(other)


def _outside(symbol: Symbol) -> object:
    """What others can say of it."""
    told = (symbol.node.get(key) for key in ("host", "model"))
    said = (symbol.kind, symbol.ports, symbol.fd, symbol.replica, symbol.copies)
    return said, [None if node is None else _plain(node) for node in told]


def _plain(node: Node) -> object:
    """Equal for nodes that are written alike."""
    if isinstance(node, Scalar):
        return node.text, node.style, type(node.value), node.value, _meaning(node)
    if isinstance(node, Seq):
        return [_plain(item) for item in node.items]
    return [(name, _plain(entry.value)) for name, entry in node.entries.items()]


def _meaning(node: Scalar) -> object:
    return node.home and node.home.meaning


def alike(one: Node, other: Node) -> bool:
    """Whether they are written alike, wherever they stand, and their words mean the same."""
    if type(one) is not type(other) or one.size != other.size:
        return False
    if isinstance(one, Scalar) and isinstance(other, Scalar):
        written = one.text == other.text and one.style == other.style and _same_value(one, other)
        return written and (one.home is other.home or _meaning(one) == _meaning(other))
    if isinstance(one, Seq) and isinstance(other, Seq):
        return len(one.items) == len(other.items) and all(map(alike, one.items, other.items))
    if isinstance(one, Map) and isinstance(other, Map) and list(one.entries) == list(other.entries):
        return all(alike(entry.value, other.entries[name].value) for name, entry in one.entries.items())
    return False


def _same_value(one: Scalar, other: Scalar) -> bool:
    """By a tag the same text may mean something else."""
    return type(one.value) is type(other.value) and one.value == other.value
