"""Who waits for whom, drawn as a tree, for Mermaid, or for Graphviz.

Decides the drawing. Refuses to know where the graph came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct


class Node(Struct, frozen=True):
    """`needs` are (name, condition)."""

    name: str
    kind: str
    needs: tuple[tuple[str, str], ...] = ()


def only(nodes: Sequence[Node], names: Iterable[str]) -> tuple[Node, ...]:
    """These and everything they need."""
    by_name = {node.name: node for node in nodes}
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in by_name and name not in wanted:
            wanted.add(name)
            todo += [on for on, _ in by_name[name].needs]
    return tuple(node for node in nodes if node.name in wanted)


def tree(nodes: Sequence[Node]) -> str:
    """Each service that nobody waits for, with what it waits for beneath it. What was drawn in full
    before is only named."""
    by_name = {node.name: node for node in nodes}
    needed = {on for node in nodes for on, _ in node.needs}
    roots = [node for node in nodes if node.name not in needed]
    lines: list[str] = []
    drawn: set[str] = set()
    for root in roots:
        lines.append(f"{root.name} ({root.kind})")
        drawn.add(root.name)
        _branches(root, by_name, "", drawn, lines)
    return "".join(f"{line}\n" for line in lines)


def _branches(node: Node, by_name: dict[str, Node], indent: str, drawn: set[str], lines: list[str]) -> None:
    for i, (on, condition) in enumerate(node.needs):
        last = i == len(node.needs) - 1
        other = by_name.get(on)
        kind = f" ({other.kind})" if other else ""
        again = on in drawn and other is not None and other.needs
        waits = f"waits until {condition}"
        lines.append(f"{indent}{'└─' if last else '├─'} {on}{kind}, {waits}{' …' if again else ''}")
        if other is not None and not again:
            drawn.add(on)
            _branches(other, by_name, indent + ("   " if last else "│  "), drawn, lines)


def mermaid(nodes: Sequence[Node]) -> str:
    """Arrows run in the order of starting: from what is needed to what needs it."""
    ids = {node.name: f"n{i}" for i, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    for node in nodes:
        left, right = ("[", "]") if node.kind == "server" else ("([", "])")
        lines.append(f'    {ids[node.name]}{left}"{node.name}"{right}')
    for node in nodes:
        lines += [f"    {ids[on]} -->|{how}| {ids[node.name]}" for on, how in node.needs if on in ids]
    return "\n".join(lines) + "\n"


def dot(nodes: Sequence[Node]) -> str:
    """Arrows run in the order of starting: from what is needed to what needs it."""
    lines = ["digraph stack {", "  rankdir=LR;"]
    for node in nodes:
        shape = "box" if node.kind == "server" else "ellipse"
        lines.append(f'  "{node.name}" [shape={shape}];')
    for node in nodes:
        lines += [f'  "{on}" -> "{node.name}" [label="{how}"];' for on, how in node.needs]
    return "\n".join([*lines, "}"]) + "\n"
