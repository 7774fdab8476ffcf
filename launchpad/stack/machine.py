"""The one door through which reading a stack looks at the machine: variables, files, folders, programs.

A reading is what it is by its options and by what it is answered here, and by nothing else. So whoever keeps what came of
it keeps the `Answers` beside it: as long as they hold, so does the rest; and with them the same file is read again as it
was. Decides nothing. That `stack` and `plan` know no other door is a test (`tests/test_tidy.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import cast

from msgspec import Struct, field

from launchpad.paths import may_lead
from launchpad.stack import files

Answer = bool | str | list[str] | None
SEPARATOR = "\0"
"""Between a question and what it is about: no path and no variable has it."""


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _which(name: str, path: str) -> str | None:
    import shutil  # with it come all compressors

    return shutil.which(name, path=path)


_QUESTIONS: dict[str, Callable[..., Answer]] = {
    "is_dir": os.path.isdir,
    "is_file": os.path.isfile,
    "exists": os.path.exists,
    "is_program": _is_program,
    "is_script": _is_script,
    "may_lead": may_lead,
    "names": _names,
    "which": _which,
    "home": os.path.expanduser,
}


class Answers(Struct):
    """What was asked so far, and the answer. A file that could not be read has the number of its error."""

    variables: dict[str, str | None] = field(default_factory=dict)
    files: dict[str, bytes | int] = field(default_factory=dict)
    looks: dict[str, Answer] = field(default_factory=dict)

    def hold(self, environ: Mapping[str, str]) -> bool:
        """Whether the machine would answer the same now."""
        return (
            all(environ.get(name) == value for name, value in self.variables.items())
            and all(_bytes(path) == known for path, known in self.files.items())
            and all(_look(*asked.split(SEPARATOR)) == answer for asked, answer in self.looks.items())
        )

    def asked_again(self, environ: Mapping[str, str]) -> Answers:
        """The same questions, and what is answered now."""
        return Answers(
            {name: environ.get(name) for name in self.variables},
            {path: _bytes(path) for path in self.files},
            {asked: _look(*asked.split(SEPARATOR)) for asked in self.looks},
        )


_answers: ContextVar[Answers | None] = ContextVar("answers", default=None)


@contextmanager
def noting(answers: Answers | None) -> Iterator[None]:
    """Within it every answer is noted in `answers`, and what is known there already is not asked again. With None
    nothing is noted: for what is a part of launchpad."""
    token = _answers.set(answers)
    try:
        yield
    finally:
        _answers.reset(token)


class Variables(Mapping[str, str]):
    """launchpad's own environment. To look at all of it (`plain`, or by going through the names) is no question."""

    def __init__(self, plain: Mapping[str, str]) -> None:
        self.plain = dict(plain)

    def __getitem__(self, name: str) -> str:
        if (answers := _answers.get()) is not None:
            answers.variables[name] = self.plain.get(name)
        return self.plain[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.plain)

    def __len__(self) -> int:
        return len(self.plain)


def content(path: Path) -> bytes:
    """What is in the file, see `files.content`. Raises OSError."""
    answers = _answers.get()
    if answers is None:
        return files.content(path)
    known = answers.files.get(str(path))
    if isinstance(known, bytes):
        return known
    try:
        data = answers.files[str(path)] = files.content(path)
    except OSError as error:
        answers.files[str(path)] = error.errno or 0
        raise
    return data


def is_dir(path: Path | str) -> bool:
    return cast("bool", _asked("is_dir", str(path)))


def is_file(path: Path | str) -> bool:
    return cast("bool", _asked("is_file", str(path)))


def exists(path: Path | str) -> bool:
    return cast("bool", _asked("exists", str(path)))


def is_program(path: Path | str) -> bool:
    """A file that this user may execute."""
    return cast("bool", _asked("is_program", str(path)))


def is_script(path: str) -> bool:
    """A program that another one runs; it may well do something else than its name says."""
    return cast("bool", _asked("is_script", path))


def may_be_made(link: str) -> bool:
    """Whether launchpad may put an environment there, see `paths.may_lead`."""
    return cast("bool", _asked("may_lead", link))


def names(folder: Path | str) -> list[str]:
    """What is in a folder; nothing where it cannot be read."""
    return cast("list[str]", _asked("names", str(folder)))


def which(name: str, path: str) -> str:
    """A program of that name on `path`; "" where there is none."""
    return cast("str | None", _asked("which", name, path)) or ""


def at_home(path: str) -> str:
    """The path with `~` replaced by the folder of the user whom it means."""
    return cast("str", _asked("home", path)) if path.startswith("~") else path


def _asked(question: str, *about: str) -> Answer:
    answers = _answers.get()
    if answers is None:
        return _look(question, *about)
    asked = SEPARATOR.join((question, *about))
    if asked not in answers.looks:
        answers.looks[asked] = _look(question, *about)
    return answers.looks[asked]


def _look(question: str, *about: str) -> Answer:
    return _QUESTIONS[question](*about)


def _bytes(path: str | Path) -> bytes | int:
    try:
        return files.content(Path(path))
    except OSError as error:
        return error.errno or 0
