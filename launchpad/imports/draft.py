"""A stack file that is being written from another program's file, and what could not be carried over.

Decides how both are written down. Refuses to know where they come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml
from msgspec import Struct, field

from launchpad.errors import Span
from launchpad.stack.fields import NAME_PATTERN
from launchpad.stack.nodes import resolve

RESERVED = ("self", "stack", "vars")
WIDTH = 100


class Left(Struct, frozen=True):
    """Something that was not carried over, or means something else now: where it stands, what it is, and why."""

    span: Span
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.span}: {self.what}: {self.why}"


class Draft(Struct):
    """`top`, `servers` and `jobs` as a stack file has them; `comments` instead of services that cannot run here."""

    source: str
    top: dict[str, Any] = field(default_factory=dict)
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def leave(self, span: Span, what: str, why: str) -> None:
        self.left.append(Left(span, f"`{what}`", why))

    def text(self) -> str:
        """The stack file."""
        parts = [f"# From {self.source}, by `launchpad import`.\n"]
        if self.top:
            parts.append(_dump(self.top, 0))
        for group, services in (("servers", self.servers), ("jobs", self.jobs)):
            comments = self.comments if group == "servers" else []
            if services or comments:
                empty = "" if services else " {}"
                parts.append("\n".join([f"{group}:{empty}", *(f"  # {line}" for line in comments), ""]))
                parts[-1] += "\n".join(_dump({name: keys}, 2) for name, keys in services.items())
        return "\n".join(parts)

    def places(self) -> list[str]:
        """What could not be carried over, in the order of the file."""
        return [str(one) for one in sorted(self.left, key=lambda one: (one.span.line, one.span.column))]


class _Dumper(yaml.SafeDumper):
    """Lists within lists of keys are indented; what YAML 1.2 would not take for text is quoted."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None if isinstance(resolve(value), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.SequenceNode:
    plain = all(isinstance(one, (str, int, float)) and "\n" not in str(one) for one in value)
    short = plain and sum(len(str(one)) + 4 for one in value) < WIDTH - 20
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=short)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def _dump(content: dict[str, Any], indent: int) -> str:
    text = yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH - indent, default_flow_style=False
    )  # fmt: skip
    return "".join(f"{' ' * indent}{line}" if line.strip() else line for line in text.splitlines(True))


def names(written: Iterable[str]) -> dict[str, str]:
    """Each name as it is written, and as a stack file can have it."""
    found: dict[str, str] = {}
    for name in written:
        good = re.sub(r"[^A-Za-z0-9_-]", "-", name)
        if not re.fullmatch(NAME_PATTERN, good) or good in RESERVED:
            good = f"s-{good}"
        while good in found.values():
            good += "-2"
        found[name] = good
    return found
