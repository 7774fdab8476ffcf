"""How a stack file is asked to be read, as values. Refuses to know how it was written on a command line."""

from __future__ import annotations

from msgspec import Struct


class Scaled(Struct, frozen=True):
    """So many copies are wanted, instead of so many that the file says; None: of whatever it says now. Once it says
    something else, that holds."""

    name: str
    count: int
    instead_of: int | None = None


class ReadAs(Struct, frozen=True):
    """`set_vars` override `vars`; `env_files` are read after those of the file; `profiles` are those that are on."""

    set_vars: tuple[tuple[str, str], ...] = ()
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    scaled: tuple[Scaled, ...] = ()
