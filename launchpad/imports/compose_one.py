"""One service of a compose file on its way into a stack file.

Decides nothing; what becomes of its keys is in `compose_keys` and the modules beside it.
"""

from __future__ import annotations

from typing import Any

from launchpad.imports import compose_values as values
from launchpad.imports.compose_values import Around
from launchpad.stack.nodes import Entry, Map


class One:
    """One service on its way: `out` are its keys here."""

    def __init__(self, around: Around, name: str, node: Map) -> None:
        self.around, self.name, self.node = around, name, node
        self.out: dict[str, Any] = {}
        self.ports = [port for port in values.ports(node.get("ports")) if values.usable(port)]

    def leave(self, entry: Entry, why: str, what: str = "") -> None:
        self.around.draft.leave(entry.key.span, f"{self.name}.{what or entry.key.text}", why)

    def text(self, written: str) -> str:
        return self.around.addresses(self.name, values.filled(written))
