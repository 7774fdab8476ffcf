"""Who waits for whom: order, circles, names that lead nowhere.

Decides on what is written, so that these problems are found also where other values of a service are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from launchpad.errors import Diagnostic, Label, Span
from launchpad.stack.home import Home, known_services
from launchpad.stack.loaded import Loaded
from launchpad.stack.nodes import Map, Node, Scalar, Seq
from launchpad.stack.problems import did_you_mean, error, shown

CYCLE = "E201"
UNKNOWN_NEED = "E202"
SELF_NEED = "E203"
NEVER_DONE = "E204"


class Edge(Struct, frozen=True):
    """`of` waits for `on`."""

    of: str
    on: str
    condition: str
    span: Span
    condition_span: Span
    home: Home | None = None
    """Of the file in which this is written."""


def edges(of: str, tree: Map) -> tuple[Edge, ...]:
    """What a service says it waits for, once each, with places. `condition` is empty for the default."""
    node = tree.get("depends_on")
    found: dict[str, Edge] = {}
    if isinstance(node, Map):
        for name, entry in node.entries.items():
            condition, span = _condition(entry.value, entry.key.span)
            found[name] = Edge(of, name, condition, entry.key.span, span, entry.key.home)
    elif node is not None:
        for item in node.items if isinstance(node, Seq) else (node,):
            if isinstance(item, Scalar) and item.text and item.value is not None:
                found.setdefault(item.text, Edge(of, item.text, "", item.span, item.span, item.home))
    return tuple(edge for edge in found.values() if "${" not in edge.on and not edge.on.startswith("x-"))


def _condition(node: Node, key: Span) -> tuple[str, Span]:
    inner = node.get("condition") if isinstance(node, Map) else node
    if isinstance(inner, Scalar) and inner.value is not None:
        return inner.text, inner.span
    return "", key


def problems(loaded: Loaded) -> Iterator[Diagnostic]:
    """Everything that is wrong with `depends_on`."""
    graph = {name: edges(name, loaded.trees[name]) for name in loaded.order}
    for name, waits in graph.items():
        for edge in waits:
            if edge.on == name:
                yield error(SELF_NEED, f"`{shown(name)}` waits for itself", edge.span, hint="take it out")
            elif edge.on not in graph:
                known = [*known_services(edge.home), *(n for n in (*graph, *loaded.groups) if n != name)]
                hint = did_you_mean(edge.on, known)
                message = f"`{shown(name)}` depends on `{shown(edge.on)}`, which is not in this stack"
                yield error(UNKNOWN_NEED, message, edge.span, hint=hint)
            elif edge.condition == "done" and edge.on not in loaded.jobs:
                message = f"`{shown(name)}` waits until `{edge.on}` is done, but a server runs on and on"
                yield error(NEVER_DONE, message, edge.condition_span, hint="wait for `ready` or `started`")
    with_port = [name for name in graph if "port" in loaded.trees[name].entries]
    yield from _cycles(graph, with_port)


def _cycles(graph: Mapping[str, Sequence[Edge]], with_port: Sequence[str]) -> Iterator[Diagnostic]:
    """One circle after the other; each is opened at its last edge before the next is looked for."""
    left = {name: [e for e in waits if e.on in graph and e.on != name] for name, waits in graph.items()}
    while circle := _circle(left):
        last = circle[-1]
        left[last.of].remove(last)
        labels = [Label(edge.span, f"{edge.of} waits for {edge.on}") for edge in circle]
        path = " -> ".join([circle[0].of, *(edge.on for edge in circle)])
        yield Diagnostic(
            CYCLE,
            "services wait for each other, so none can start",
            labels=tuple(labels),
            notes=(path,),
            hint=_open_hint(last, with_port),
        )


def _open_hint(edge: Edge, with_port: Sequence[str]) -> str:
    if edge.on not in with_port:
        return "drop one of them"
    return f"drop one of them; `${{{edge.on}.url}}` is known to `{edge.of}` also without waiting"


def _circle(graph: Mapping[str, Sequence[Edge]]) -> list[Edge]:
    """The edges of a circle, from the service that comes first in the file; empty where there is none."""
    finished: set[str] = set()
    for root in graph:
        path: list[Edge] = []
        pending = [iter(graph[root])]
        on_path = [root]
        while pending and root not in finished:
            edge = next(pending[-1], None)
            if edge is None:
                pending.pop()
                finished.add(on_path.pop())
                path = path[:-1]
            elif edge.on in on_path:
                return _from_first([*path, edge][on_path.index(edge.on) :], list(graph))
            elif edge.on not in finished:
                path.append(edge)
                on_path.append(edge.on)
                pending.append(iter(graph[edge.on]))
    return []


def _from_first(circle: list[Edge], order: list[str]) -> list[Edge]:
    first = min(range(len(circle)), key=lambda i: order.index(circle[i].of))
    return circle[first:] + circle[:first]


def topological(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Nobody before what it needs; else in the given order. The graph has no circles."""
    placed: dict[str, None] = {}
    open_names: list[tuple[str, bool]] = [(name, False) for name in reversed(list(needs))]
    while open_names:
        name, expanded = open_names.pop()
        if name in placed:
            continue
        if expanded:
            placed[name] = None
            continue
        open_names.append((name, True))
        open_names += [(on, False) for on in reversed(needs[name]) if on not in placed]
    return list(placed)
