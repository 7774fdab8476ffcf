"""A recipe: how one well-known program is started, and what is known of it, as a file says.

Decides what such a file holds and where recipes are looked for: those of launchpad, and a team's own in `recipes/` beside the
stack file, which win. Refuses to know what a stack makes of one: that is `recipes`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from msgspec import Struct
from pydantic import Field

from launchpad.errors import Diagnostic, Span
from launchpad.stack import machine
from launchpad.stack.fields import Bool, Line, Pattern, Short, many, one_of, wrong
from launchpad.stack.nodes import Map, Scalar, kind
from launchpad.stack.problems import CONFLICT, MISSING, VALUE, did_you_mean, error, shown
from launchpad.stack.scope import World
from launchpad.stack.source import read
from launchpad.stack.strict import Strict
from launchpad.stack.template import Piece
from launchpad.stack.validate import Converter, validate
from launchpad.stack.words import Word

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*\Z")
PACKAGED = Path(__file__).resolve().parent.parent / "recipes"
FOLDER = "recipes"
"""Beside the stack file."""
SHARED = "_traps.yaml"
"""Traps that several recipes have in common, by name."""
OWN = ("uses", "model", "args")
"""Keys that a stack has for a recipe, and a recipe itself has not."""


class Trap(Strict):
    """Something that goes wrong often, and how its output tells."""

    match: Pattern = Field(description="A regular expression that is looked for in each of the last lines.")
    says: Line = Field(description="What that means.")
    hint: Line | None = Field(None, description="What helps.")
    gpu: Bool = Field(False, description="Whether to say who holds the memory of the GPUs.")


class Asked(Strict):
    """What `model`, or `args`, is to a recipe."""

    required: Bool = Field(False)
    example: Line = Field()
    means: Line = Field()


def _trap(value: Any) -> Any:
    """A word is the name of a shared trap."""
    if not isinstance(value, str):
        return value
    known = shared_traps()
    if value not in known:
        raise wrong(VALUE, f"there is no trap `{shown(value)}`", hint=did_you_mean(value, known))
    return known[value]


class Head(Strict):
    """A recipe but for what it makes of a service."""

    title: Line = Field()
    sources: Annotated[tuple[Line, ...], many()] = Field(())
    kinds: Annotated[tuple[Annotated[str, one_of("server", "job")], ...], many()] = Field(("server",))
    requirements: Annotated[tuple[Line, ...], many()] = Field(())
    """What brings the program, as a stack's `requirements` would say it. Nothing is installed for it by itself."""
    model: Asked | None = Field(None)
    args: Asked | None = Field(None)
    notes: Annotated[tuple[Line, ...], many()] = Field(())
    traps: tuple[Annotated[Trap, Short(_trap)], ...] = Field(())


class Traps(Strict):
    """The file of those that several recipes share."""

    traps: dict[str, Trap] = Field()


class Recipe(Struct, frozen=True):
    """`service` holds keys of a server or job, as they are written. `packaged`: it came with launchpad."""

    name: str
    file: Path
    head: Head
    service: Map
    packaged: bool

    @property
    def traps(self) -> tuple[Trap, ...]:
        return self.head.traps

    @property
    def way_to_have_it(self) -> str:
        """What a stack says to have its program installed; "" where no package index has it."""
        lines = (line if line.isalnum() else f'"{line}"' for line in self.head.requirements)
        return f"requirements: [{', '.join(lines)}]" if self.head.requirements else ""


class _Plain(Converter):
    """Nothing is filled in: a `$` in a recipe's head means itself."""

    def __init__(self) -> None:
        super().__init__(World("", {}))

    def _word(self, node: Scalar, *_: object) -> Word | None:
        if node.value is None:
            return None
        return Word.of(node, (Piece(node.text, literal=True),) if node.text else ())


@cache
def shared_traps() -> dict[str, Trap]:
    with machine.noting(None):
        found = read(PACKAGED / SHARED)
    assert found.root is not None
    model, problems = validate(Traps, found.root, _Plain())
    assert model is not None, problems
    return model.traps


@cache
def packaged(name: str) -> Recipe | None:
    """One of launchpad's own; None where there is none of that name."""
    file = PACKAGED / f"{name}.yaml"
    if not NAME.match(name) or not os.path.isfile(file):
        return None
    with machine.noting(None):
        recipe, problems = load(file, packaged=True)
    assert recipe is not None, problems
    return recipe


def load(file: Path, *, packaged: bool = False) -> tuple[Recipe | None, list[Diagnostic]]:
    """The recipe in this file, or what is wrong with it. What its `service` says is checked where it is used."""
    found = read(file)
    if found.root is None:
        return None, found.problems
    head, problems = validate(Head, found.root.without("service"), _Plain(), _begin(file))
    problems = [*found.problems, *problems, *_problems(found.root, file)]
    service = found.root.get("service")
    if head is None or problems or not isinstance(service, Map):
        return None, problems
    return Recipe(file.stem, file, head, service, packaged), []


def _problems(root: Map, file: Path) -> list[Diagnostic]:
    entry = root.entries.get("service")
    if entry is None:
        return [error(MISSING, "`service` is missing: what a server or job of this recipe is", _begin(file))]
    if not isinstance(entry.value, Map):
        return [error(VALUE, f"`service` takes a map, and this is {kind(entry.value)}", entry.span)]
    return [
        error(CONFLICT, f"`{key}` is what a stack says to a recipe, not a recipe", inner.key.span)
        for key, inner in entry.value.entries.items()
        if key in OWN
    ]


def _begin(file: Path) -> Span:
    return Span(str(file), 1, 1, 1, 2)


def names(folder: Path | None = None) -> dict[str, Path]:
    """Every recipe by name, with its file: launchpad's own, and those of a team in `folder`, which win."""
    found = {file.stem: file for file in sorted(PACKAGED.glob("*.yaml")) if file.name != SHARED}
    if folder is not None:
        found.update(_of_team(folder))
    return dict(sorted(found.items()))


def listed(folders: Sequence[Path]) -> list[tuple[str, Path]]:
    """Those that a whole stack may use, by name: of launchpad and of the first folder, which is the stack's own, and
    what the folders of other files have, of whatever name."""
    found = list(names(folders[0]).items())
    for folder in folders[1:]:
        found += _of_team(folder).items()
    return sorted(found, key=lambda one: one[0])


def _of_team(folder: Path) -> dict[str, Path]:
    if not os.path.isdir(folder):
        return {}
    return {file.stem: file for file in sorted(folder.glob("*.yaml")) if NAME.match(file.stem)}
