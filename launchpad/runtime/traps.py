"""What the last lines of a service that ended tell of a known trap, and who holds the GPU's memory then.

Decides which trap of the service's recipe is told, and how that goes into the diagnosis. Looks once for each end, because what
is so an hour later explains nothing. Refuses to know why a service ended: its diagnosis says that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from launchpad.core.model import Outcome, Phase
from launchpad.core.state import Unit
from launchpad.errors import Diagnostic
from launchpad.plan.head import Program, Trap
from launchpad.runtime.problems import Place

KNOWN = "E509"
NOT_STARTED = "E502"
LINES = 200
"""So many of the last lines are looked at."""
EXPLAINED = ("E401", "E402", "E501", "E503", "E506")
"""Ends of which the output may tell more."""
SHOWN = 300
"""Characters of a line."""

_MODULE = re.compile(r"No module named '?(\w+)")

Lines = Callable[[str, int], tuple[str, ...]]
"""The last lines that a service printed, at most so many."""
Holders = Callable[[], tuple[str, ...]]


class Caught(Struct, frozen=True):
    """A trap, the line that tells, and who held the GPU's memory at that time."""

    trap: Trap
    line: str
    holders: tuple[str, ...]

    @property
    def says(self) -> str:
        return f"its output says: {self.line[:SHOWN].strip()}"


class Traps:
    def __init__(self, lines: Lines, holders: Holders) -> None:
        self._lines, self._holders = lines, holders
        self._known: dict[str, tuple[Outcome, Caught | None]] = {}

    def explained(
        self, unit: Unit, known: Callable[[str], Program], found: Diagnostic | None, place: Place
    ) -> Diagnostic | None:
        """The diagnosis with what is known of its program; for one that is to be started again, a warning of its own."""
        if found is not None and found.code == NOT_STARTED:
            no_program = unit.last is not None and unit.last.text.startswith("no such file")
            return replace(found, hint=_way(unit, known(unit.name)) if no_program else found.hint)
        end = unit.failed.last if unit.failed is not None and unit.is_alive else unit.last
        again = found is None and unit.phase is Phase.BACKOFF
        if end is None or not (again or (found is not None and found.code in EXPLAINED)):
            return found
        caught = self._caught(unit.name, end, known)
        if caught is None:
            return found
        hint, program = caught.trap.hint, known(unit.name)
        if _is_missing(program, caught.line):
            hint = _way(unit, program) or hint
        if found is None:
            return _warning(unit, end, caught, hint, place)
        said = () if caught.line in found.log else (caught.says,)
        notes = (*found.notes, *said, f"that is: {caught.trap.says}", *caught.holders)
        return replace(found, notes=notes, hint=hint or found.hint)

    def _caught(self, name: str, end: Outcome, known: Callable[[str], Program]) -> Caught | None:
        """Looked for once for each end."""
        if name not in self._known or self._known[name][0] != end:
            traps = known(name).traps
            match = first(traps, self._lines(name, LINES)) if traps else None
            self._known[name] = (end, match and self._with_holders(*match))
        return self._known[name][1]

    def _with_holders(self, trap: Trap, line: str) -> Caught:
        return Caught(trap, line, self._holders() if trap.gpu else ())


def _is_missing(program: Program, line: str) -> bool:
    """It is the program itself that Python does not find, and not a module of somebody's own."""
    module = _MODULE.search(line)
    names = (re.split(r"[^\w.-]", one)[0].replace("-", "_") for one in program.packages)
    return module is not None and any(name.startswith(module[1]) for name in names)


def _way(unit: Unit, program: Program) -> str:
    """The program is yours to install, or to have installed; "" where its environment is made for it anyway."""
    if unit.service.prepare is not None or not program.way:
        return ""
    return f"`{program.way}` has it installed, `venv: PATH` says where it is"


def first(traps: Sequence[Trap], lines: Sequence[str]) -> tuple[Trap, str] | None:
    """The first trap that one of the lines tells of, and the last such line."""
    for trap in traps:
        for line in reversed(lines):
            if re.search(trap.match, line):
                return trap, line
    return None


def _warning(unit: Unit, end: Outcome, caught: Caught, hint: str, place: Place) -> Diagnostic:
    label = place(unit.name)
    return Diagnostic(
        KNOWN,
        f"`{unit.name}` failed: {caught.trap.says}",
        severity="warning",
        labels=(label,) if label is not None else (),
        notes=(end.text, caught.says, *caught.holders),
        consequence="it is started again",
        hint=hint,
    )
