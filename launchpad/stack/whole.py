"""The stack as one tree: the stack file, and the personal file beside it merged over it.

Decides which files are read, and in which order they are merged. Fills in nothing and checks no keys.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from launchpad.errors import Diagnostic
from launchpad.stack.merge import overlay, with_environment_map
from launchpad.stack.nodes import Entry, Map
from launchpad.stack.source import read


@dataclass
class Whole:
    """`root` is missing where the file is no map at all."""

    root: Map | None = None
    problems: list[Diagnostic] = field(default_factory=list)
    inputs: list[Path] = field(default_factory=list)


def local_file(file: Path) -> Path:
    """The personal file beside a stack file."""
    return file.with_name(f"{file.stem}.local{file.suffix}")


def read_whole(file: Path) -> Whole:
    """The file with its local file merged over it."""
    whole = Whole()
    first = read(file)
    whole.problems += first.problems
    if first.root is None:
        return whole
    whole.inputs.append(file)
    whole.root = normal(first.root, whole.problems)
    local = local_file(file)
    if local.is_file():
        whole.inputs.append(local)
        second = read(local, empty_ok=True)
        whole.problems += second.problems
        if second.root:
            whole.root = overlay(whole.root, normal(second.root, whole.problems))
    return whole


def normal(root: Map, problems: list[Diagnostic]) -> Map:
    """`environment` as a map everywhere, so that it merges whichever way it was written."""
    entries = dict(root.entries)
    for key in ("servers", "jobs"):
        group = root.get(key)
        if isinstance(group, Map):
            inner = {name: normal_one(entry, problems) for name, entry in group.entries.items()}
            entries[key] = Entry(entries[key].key, Map(group.span, inner, group.size, group.height))
    if "defaults" in entries:
        entries["defaults"] = normal_one(entries["defaults"], problems)
    return Map(root.span, entries, root.size, root.height)


def normal_one(entry: Entry, problems: list[Diagnostic]) -> Entry:
    """Of one service."""
    if not isinstance(entry.value, Map):
        return entry
    return Entry(entry.key, with_environment_map(entry.value, problems))
