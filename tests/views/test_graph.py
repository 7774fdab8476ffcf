"""Who waits for whom, drawn three ways."""

from __future__ import annotations

from launchpad.views.graph import Node, dot, mermaid, only, tree

NODES = (
    Node("data", "job"),
    Node("llm", "server", (("data", "done"),)),
    Node("reward", "server"),
    Node("train", "job", (("llm", "ready"), ("reward", "started"))),
    Node("eval", "job", (("train", "done"), ("llm", "ready"))),
    Node("board", "server"),
)


def test_tree() -> None:
    assert tree(NODES) == (
        "eval (job)\n"
        "├─ train (job), waits until done\n"
        "│  ├─ llm (server), waits until ready\n"
        "│  │  └─ data (job), waits until done\n"
        "│  └─ reward (server), waits until started\n"
        "└─ llm (server), waits until ready …\n"
        "board (server)\n"
    )


def test_mermaid() -> None:
    assert mermaid(NODES[:2]) == ('flowchart LR\n    n0(["data"])\n    n1["llm"]\n    n0 -->|done| n1\n')


def test_dot() -> None:
    assert dot(NODES[:2]) == (
        "digraph stack {\n  rankdir=LR;\n"
        '  "data" [shape=ellipse];\n  "llm" [shape=box];\n  "data" -> "llm" [label="done"];\n}\n'
    )


def test_only_what_a_service_needs() -> None:
    assert [node.name for node in only(NODES, ["llm"])] == ["data", "llm"]
