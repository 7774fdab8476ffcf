"""One door to a stack file: read it, plan it, and ask about it.

Collects the problems of the file and of the graph in one go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launchpad.core.model import Plan
from launchpad.errors import Diagnostic, Label, Refused
from launchpad.plan.select import closure

if TYPE_CHECKING:
    from launchpad.stack.copies import Scaled
    from launchpad.stack.loaded import Loaded
    from launchpad.stack.recipe import Recipe

UNKNOWN_NAME = "E205"

Goals = tuple[tuple[str, bool], ...]
"""Services, and whether each shall run."""


@dataclass(frozen=True)
class Reading:
    """A stack file that was found in order, and its plan."""

    plan: Plan
    loaded: Loaded
    warnings: tuple[Diagnostic, ...]
    as_written: Plan | None = None
    """The plan of the file itself, where `plan` was changed since (`run` of a job)."""

    @property
    def name(self) -> str:
        return self.loaded.name

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file that was read."""
        return self.loaded.inputs

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not be shown, the longest first."""
        return self.loaded.secrets

    @property
    def when_supervisor_dies(self) -> str:
        """keep or stop"""
        return self.loaded.model.when_supervisor_dies

    def recipe(self, service: str) -> Recipe | None:
        """What is known of its program; None where it uses none."""
        return self.loaded.recipes.get(service)

    def label(self, service: str, *path: str | int, text: str = "") -> Label | None:
        """Where something of a service stands in the file (the nearest thing above it, where it is not written);
        None for a service that the file has not."""
        if (
            path == ("port",)
            and service in self.loaded.trees
            and "port" not in self.loaded.trees[service].entries
        ):
            path = ("ports", "main")
        return self.loaded.label(service, *path, text=text)

    def goals(self, names: Collection[str] = ()) -> Goals:
        """Every service of the plan, and whether it shall run: those named and all that they need; without names
        those without a profile or with one that is on, and all that they need. Raises Refused for a name that
        the stack has not."""
        known = {service.name: None for service in self.plan.services}
        asked, names = names, self.each(names)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise Refused([self._unknown(name, list(known)) for name in dict.fromkeys(unknown)])
        if asked and not names:
            return tuple((name, False) for name in known)
        wanted = closure(self.plan, names or self._by_profile(list(known)))
        up = dict.fromkeys(wanted)
        return tuple((name, name in up) for name in known)

    def each(self, names: Collection[str]) -> tuple[str, ...]:
        """With the copies of a service in the place of the name of them all."""
        groups = self.loaded.groups
        return tuple(dict.fromkeys(one for name in names for one in groups.get(name, (name,))))

    def _by_profile(self, known: Sequence[str]) -> list[str]:
        on = set(self.loaded.profiles)
        profiles = {name: self.loaded.service(name).profiles for name in known}
        return [name for name in known if not profiles[name] or on & set(profiles[name])]

    def _unknown(self, name: str, known: Sequence[str]) -> Diagnostic:
        from launchpad.stack.problems import did_you_mean, error, listed, shown

        hint = did_you_mean(name, [*known, *self.loaded.groups]) or (
            f"it has {listed(known, 'and')}" if known else ""
        )
        return error(UNKNOWN_NAME, f"`{self.name}` has no server or job `{shown(name)}`", hint=hint)

    def config(self) -> dict[str, Any]:
        """The stack as resolved, as a stack file would say it, with secrets masked."""
        from launchpad.plan.config import config

        return config(self.loaded)


def read_stack(
    file: Path,
    *,
    set_vars: Mapping[str, str] = {},
    env_files: Sequence[str] = (),
    profiles: Collection[str] = (),
    environ: Mapping[str, str] | None = None,
    scaled: Sequence[Scaled] = (),
    rev: int = 1,
    before: Reading | None = None,
) -> Reading:
    """Read and plan a stack file. Raises Refused with everything that is wrong, in the file and in the graph. `before`
    is an earlier reading, of which is taken what means the same."""
    # what reads a file takes half of a start to import, and who only holds a `Reading` does not need it
    from launchpad.plan import build, lint
    from launchpad.stack import attempt
    from launchpad.stack.problems import unique

    was = before.loaded if before is not None else None
    result = attempt(
        file,
        set_vars=set_vars,
        env_files=env_files,
        profiles=profiles,
        environ=environ,
        scaled=scaled,
        before=was,
    )
    loaded = result.loaded
    found = list(result.problems)
    if loaded is not None:
        found += build.problems(loaded)
    problems = unique(found)
    if loaded is None or any(problem.is_error for problem in problems):
        raise Refused(problems)
    warnings = unique([*problems, *loaded.warnings, *lint.warnings(loaded)])
    planned = None if before is None else build.Planned(before.loaded, before.as_written or before.plan)
    return Reading(build.plan(loaded, rev, planned), loaded, warnings)
