"""The stack as one tree: the stack file, what it includes and extends, and the personal file beside it, merged over it.

Decides which files are read, and in which order they are merged. Fills in nothing and checks no keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from launchpad.errors import Diagnostic
from launchpad.paths import local_file
from launchpad.stack import machine
from launchpad.stack.extends import Source, heirs
from launchpad.stack.home import Home
from launchpad.stack.include import Files, Opened, expanded
from launchpad.stack.merge import normal, overlay
from launchpad.stack.nodes import Map
from launchpad.stack.scope import World
from launchpad.stack.source import read


class Whole(Struct):
    """`root` is missing where there is no telling what the stack is."""

    root: Map | None = None
    text: str | None = None
    """What it was read from, where each part of that means by itself what it means."""
    problems: list[Diagnostic] = field(default_factory=list)
    inputs: list[Path] = field(default_factory=list)
    foreign: set[str] = field(default_factory=set)
    """Services that come from other files, with the defaults of those."""
    heirless: list[str] = field(default_factory=list)
    """Services of which is not known what they extend."""
    homes: list[tuple[Home, Map]] = field(default_factory=list)
    """Every other file, with its top level."""


def read_whole(file: Path, environ: Mapping[str, str]) -> Whole:
    """The file with its local file merged over it."""
    problems: list[Diagnostic] = []
    early = World(str(file.parent), environ, problems=problems)
    files = Files(str(file.parent), early, problems)
    whole = Whole(problems=problems, inputs=files.inputs, heirless=files.heirless, homes=files.homes)
    root = _read(file, whole)
    if root is None:
        return whole
    opened = (Opened(file),)
    root, whole.foreign = expanded(files, root, None, opened)
    local = local_file(file)
    if machine.is_file(local) and (over := _read(local, whole, empty_ok=True)):
        over, more = expanded(files, over, None, (*opened, Opened(local)))
        root, whole.foreign = overlay(root, over), whole.foreign | more
    if files.ok:
        whole.root = heirs(Source(files, root, None, opened, whole.foreign))
        if len(whole.inputs) > 1 or any(
            whole.root.get(key) is not root.get(key) for key in ("servers", "jobs")
        ):
            whole.text = None
    return whole


def _read(file: Path, whole: Whole, *, empty_ok: bool = False) -> Map | None:
    found = read(file, empty_ok=empty_ok)
    whole.problems += found.problems
    if found.root is None:
        return None
    whole.inputs.append(file)
    whole.text = found.text
    return normal(found.root, whole.problems)
