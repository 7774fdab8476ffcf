"""What is known of a stack besides its plan, without its file: names, groups, profiles, programs.

Values only, that can be written down as they are; taken from a file that was found in order. Imports nothing that reads one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from launchpad.errors import Diagnostic
from launchpad.stack.asked import Scaled

if TYPE_CHECKING:
    from launchpad.stack import recipe
    from launchpad.stack.loaded import Loaded


class Trap(Struct, frozen=True):
    """Something that goes wrong often: `match`, a regular expression, tells by its output; `says` what it means. `gpu`:
    who holds the memory of the GPUs belongs to it."""

    match: str
    says: str
    hint: str = ""
    gpu: bool = False


class Program(Struct, frozen=True):
    """What is known of the program of a service. `packages`: what brings it, as requirements name it; `way`: what a stack
    says to have it installed, "" where no package index has it."""

    traps: tuple[Trap, ...] = ()
    packages: tuple[str, ...] = ()
    way: str = ""


class Head(Struct, frozen=True):
    name: str
    dir: str
    inputs: tuple[str, ...]
    """Every file that was read, in order; also those that were looked for and are not there."""
    when_supervisor_dies: str
    """keep or stop"""
    profiles_on: tuple[str, ...]
    profiles: dict[str, tuple[str, ...]]
    """Of each service."""
    origin: dict[str, str]
    """Each service → the name under which the file has it: that of all copies, where it is one of several."""
    groups: dict[str, tuple[str, ...]]
    """The copies of each service that has `replicas`."""
    scaled: tuple[Scaled, ...]
    """What was asked for instead of the file's own numbers of copies, and still holds."""
    programs: dict[str, Program]
    """Of each service that uses a recipe."""
    warnings: tuple[Diagnostic, ...]
    secrets: tuple[str, ...]
    """Values that must not be shown, the longest first."""
    hides: bool
    """Whether it has anything that must not be shown, or be written down."""


def head(loaded: Loaded, warnings: tuple[Diagnostic, ...], asked: Collection[str]) -> Head:
    """`asked`: variables of launchpad's own environment, and options, that it is made of."""
    return Head(
        loaded.name,
        str(loaded.dir),
        tuple(map(str, loaded.inputs)),
        loaded.model.when_supervisor_dies,
        loaded.profiles,
        {name: loaded.service(name).profiles for name in loaded.order},
        dict(loaded.origin),
        dict(loaded.groups),
        loaded.scaled,
        {
            name: Program(_traps(one.traps), one.head.requirements, one.way_to_have_it)
            for name, one in loaded.recipes.items()
        },
        warnings,
        loaded.secrets,
        hides(loaded, asked, loaded.environment),
    )


def hides(loaded: Loaded, asked: Iterable[str], names: Iterable[str]) -> bool:
    """Whether there is anything that must not be shown, as far as services go in these."""
    from launchpad.stack.scope import looks_secret

    declared = (variable for name in names for variable in loaded.environment[name])
    return bool(loaded.secrets) or any(one.secret for one in declared) or any(map(looks_secret, asked))


def traps_of_any_port() -> tuple[Trap, ...]:
    """Read when something went wrong, and not before: it takes a file of recipes."""
    from launchpad.stack.recipe import shared_traps

    return _traps([shared_traps()["address-in-use"]])


def _traps(written: Iterable[recipe.Trap]) -> tuple[Trap, ...]:
    return tuple(Trap(trap.match, trap.says, trap.hint or "", trap.gpu) for trap in written)
