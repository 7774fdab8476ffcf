"""One door to a stack file: read it, plan it, and ask about it.

Collects the problems of the file and of the graph in one go.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from launchpad.core.model import Plan
from launchpad.errors import Diagnostic, Label, Refused
from launchpad.plan.head import Head, Program, head, traps_of_any_port
from launchpad.plan.select import closure
from launchpad.stack.asked import ReadAs, Scaled
from launchpad.stack.machine import Answers, noting

if TYPE_CHECKING:
    from launchpad.stack.load import Attempt
    from launchpad.stack.loaded import Loaded

UNKNOWN_NAME = "E205"

Goals = tuple[tuple[str, bool], ...]
"""Services, and whether each shall run."""

_loading = Lock()


class Reading(Struct):
    """A stack file that was found in order, and its plan: what was asked (`file`, `asked`), what the machine answered,
    and what came of it."""

    file: Path
    asked: ReadAs
    answers: Answers
    plan: Plan
    head: Head
    as_written: Plan | None = None
    """The plan of the file itself, where `plan` was changed since (`run` of a job)."""
    _loaded: Loaded | None = None

    @property
    def loaded(self) -> Loaded:
        """The file with all its places. Where only what came of it was kept, it is read once more, as it was then: that
        takes its time. Any thread may ask."""
        with _loading:
            if self._loaded is None:
                environ = {**os.environ, **{n: v for n, v in self.answers.variables.items() if v is not None}}
                with noting(self.answers), _uncollected():
                    self._loaded = _attempt(self.file, self.asked, environ).loaded
            assert self._loaded is not None, "what was in order once is so with the same answers"
            return self._loaded

    @property
    def is_loaded(self) -> bool:
        """Whether `loaded` costs nothing."""
        return self._loaded is not None

    @property
    def path(self) -> str:
        """Of the file, as the machine is asked for it."""
        return os.path.abspath(self.file)

    def differs_by_its_file(self, file: Path, asked: ReadAs, answers: Answers) -> bool:
        """Whether nothing was asked otherwise, and nothing is answered otherwise but what is in the file itself."""
        was, name = self.answers, self.path
        return (
            (file, asked) == (self.file, self.asked)
            and (answers.variables, answers.looks) == (was.variables, was.looks)
            and {**answers.files, name: b""} == {**was.files, name: b""}
        )

    @property
    def name(self) -> str:
        return self.head.name

    @property
    def dir(self) -> Path:
        return Path(self.head.dir)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Every file that was read, also those that were looked for and are not there."""
        return tuple(map(Path, self.head.inputs))

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return self.head.warnings

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not be shown, the longest first."""
        return self.head.secrets

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The copies of each service that has `replicas`."""
        return self.head.groups

    @property
    def scaled(self) -> tuple[Scaled, ...]:
        """What was asked for instead of the file's own numbers of copies, and still holds."""
        return self.head.scaled

    @property
    def when_supervisor_dies(self) -> str:
        """keep or stop"""
        return self.head.when_supervisor_dies

    def program(self, service: str) -> Program:
        """What is known of its program, by its recipe; of one that uses none, what goes wrong with whatever has a port."""
        if service in self.head.programs:
            return self.head.programs[service]
        has_port = any(one.name == service and one.ports for one in self.plan.services)
        return Program(traps_of_any_port()) if has_port else Program()

    def label(self, service: str, *path: str | int, text: str = "") -> Label | None:
        """Where something of a service stands in the file (the nearest thing above it, where it is not written);
        None for a service that the file has not."""
        loaded = self.loaded
        if path == ("port",) and service in loaded.trees and "port" not in loaded.trees[service].entries:
            path = ("ports", "main")
        return loaded.label(service, *path, text=text)

    def goals(self, names: Collection[str] = ()) -> Goals:
        """Every service of the plan, and whether it shall run: those named and all that they need; without names
        those without a profile or with one that is on, and all that they need. Raises Refused for a name that
        the stack has not."""
        up = dict.fromkeys(self.wanted(names))
        return tuple((service.name, service.name in up) for service in self.plan.services)

    def wanted(self, names: Collection[str] = ()) -> tuple[str, ...]:
        """Those of the `goals` that shall run, in the plan's order."""
        known = [service.name for service in self.plan.services]
        asked, names = names, self.each(names)
        if unknown := set(names).difference(known):
            raise Refused([self._unknown(name, known) for name in names if name in unknown])
        if asked and not names:
            return ()
        return closure(self.plan, names or self._by_profile(known))

    def each(self, names: Collection[str]) -> tuple[str, ...]:
        """With the copies of a service in the place of the name of them all."""
        return tuple(dict.fromkeys(one for name in names for one in self.groups.get(name, (name,))))

    def _by_profile(self, known: Sequence[str]) -> list[str]:
        on, profiles = set(self.head.profiles_on), self.head.profiles
        return [name for name in known if not profiles[name] or on & set(profiles[name])]

    def _unknown(self, name: str, known: Sequence[str]) -> Diagnostic:
        from launchpad.stack.problems import did_you_mean, error, listed, shown

        hint = did_you_mean(name, [*known, *self.groups]) or (
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
    environ = os.environ if environ is None else environ
    answers = Answers() if before is None else before.answers.asked_again(environ)
    asked = ReadAs(tuple(set_vars.items()), tuple(env_files), tuple(profiles), tuple(scaled))
    with noting(answers), _uncollected():
        found = None
        if before is not None and before.differs_by_its_file(file, asked, answers):
            found = _after(before, answers, environ, rev)
        return found or _anew(file, asked, answers, environ, rev, before)


def _after(before: Reading, answers: Answers, environ: Mapping[str, str], rev: int) -> Reading | None:
    """What an edit of some services made of it; None where it takes more to find that out."""
    from launchpad.plan import edit

    data, was = answers.files.get(before.path), before.loaded
    found = edit.edited(was, data, environ) if isinstance(data, bytes) else None
    warnings = None if found is None else edit.warnings(was, found, before.warnings)
    if found is None or warnings is None:
        return None
    plan = edit.plan(was, before.as_written or before.plan, found, rev)
    known = edit.head(before.head, found, warnings, _named(before.asked, answers))
    return Reading(before.file, before.asked, answers, plan, known, None, found.loaded)


def _anew(
    file: Path, asked: ReadAs, answers: Answers, environ: Mapping[str, str], rev: int, before: Reading | None
) -> Reading:
    """All of it is read; only what means the same is taken from before."""
    from launchpad.plan import build, lint
    from launchpad.stack.problems import unique

    result = _attempt(file, asked, environ, None if before is None else before.loaded)
    loaded = result.loaded
    problems = unique([*result.problems, *(build.problems(loaded) if loaded is not None else ())])
    if loaded is None or any(problem.is_error for problem in problems):
        raise Refused(problems)
    warnings = unique([*problems, *loaded.warnings, *lint.warnings(loaded)])
    planned = None if before is None else build.Planned(before.loaded, before.as_written or before.plan)
    plan = build.plan(loaded, rev, planned)
    return Reading(
        file, asked, answers, plan, head(loaded, tuple(warnings), _named(asked, answers)), None, loaded
    )


def _named(asked: ReadAs, answers: Answers) -> list[str]:
    """Variables, and options, that it is made of."""
    return [*dict(asked.set_vars), *(name for name, value in answers.variables.items() if value)]


@contextmanager
def _uncollected() -> Iterator[None]:
    """What a file is read into is kept, and many thousand objects: looking for garbage among them, again and again
    while there are ever more, takes a fifth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _attempt(file: Path, asked: ReadAs, environ: Mapping[str, str], before: Loaded | None = None) -> Attempt:
    # what reads a file takes half of a start to import, and who only holds a `Reading` does not need it
    from launchpad.stack.load import attempt

    return attempt(
        file,
        set_vars=dict(asked.set_vars),
        env_files=asked.env_files,
        profiles=asked.profiles,
        environ=environ,
        scaled=asked.scaled,
        before=before,
    )
