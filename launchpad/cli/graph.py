"""`launchpad graph`: who waits for whom."""

from __future__ import annotations

from pathlib import Path

import click

from launchpad.cli.params import Shaping, reading_options
from launchpad.cli.target import StackCommand, check_names, each, locate, read


@click.command("graph", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] [NAME]...")
@click.option("--mermaid", "form", flag_value="mermaid", help="A Mermaid flowchart.")
@click.option("--dot", "form", flag_value="dot", help="A Graphviz graph.")
@reading_options
def command(
    names: tuple[str, ...],
    form: str | None,
    shaping: Shaping,
    given: Path | None,
) -> None:
    """Who waits for whom, and for what: a tree, a Mermaid flowchart or a Graphviz graph."""
    from launchpad.views import graph

    reading = read(locate(given), *shaping)
    nodes = tuple(
        graph.Node(
            service.name,
            service.kind.value,
            tuple((need.on, need.condition.value) for need in service.needs),
        )
        for service in reading.plan.services
    )
    if names:
        names = each(names, reading.groups)
        check_names(names, [node.name for node in nodes], reading.name)
        nodes = graph.only(nodes, names)
    draw = {None: graph.tree, "mermaid": graph.mermaid, "dot": graph.dot}[form]
    print(draw(nodes), end="")
