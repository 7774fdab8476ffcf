"""Which Python an environment is made with: the one that runs launchpad, a version that is found, or a path.

Decides where a version is looked for. Starts nothing: what an interpreter is, is taken from its name and place.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from launchpad.errors import Diagnostic
from launchpad.stack import machine
from launchpad.stack.problems import INTERPRETER, VALUE, error, shown

VERSION = re.compile(r"(?:python)?(?P<version>3(?:\.[0-9]+){0,2})\Z")


class Interpreter(Struct, frozen=True):
    """`asked` is what shapes an environment; `program` the path of it, or a version that uv is to get."""

    asked: str
    program: str


def installer(environ: Mapping[str, str]) -> str:
    """The path of uv, "" where there is none: on PATH, or beside the Python that runs launchpad."""
    beside = os.path.dirname(sys.executable)
    return machine.which("uv", f"{environ.get('PATH', os.defpath)}{os.pathsep}{beside}")


def interpreter(
    asked: str | None, path: Callable[[str], Path], environ: Mapping[str, str], uv: str
) -> Interpreter | Diagnostic:
    """A problem, without a place, where there is none."""
    if asked is None:
        return Interpreter(f"{sys.version_info.major}.{sys.version_info.minor}", sys.executable)
    if match := VERSION.match(asked):
        return _version(match["version"], environ, uv)
    if "/" not in asked:
        return error(
            VALUE, f"`{shown(asked)}` is neither a version of Python nor a path", hint='write `"3.12"`'
        )
    program = path(asked)
    if not machine.is_program(program):
        return error(INTERPRETER, f"there is no program `{program}`")
    return Interpreter(str(program), str(program))


def _version(version: str, environ: Mapping[str, str], uv: str) -> Interpreter | Diagnostic:
    running = ".".join(map(str, sys.version_info[:3]))
    if f"{running}.".startswith(f"{version}."):
        return Interpreter(version, sys.executable)
    found = [program for program in _places(version, environ) if machine.is_program(program)]
    programs = [
        program for program in found if not machine.is_script(program)
    ]  # nor a shim, as pyenv has them
    if programs or uv or found:
        return Interpreter(version, programs[0] if programs else version if uv else found[0])
    return error(
        INTERPRETER,
        f"there is no Python {version} on this machine",
        notes=(
            f"launchpad runs with {running}; looked for `python{version}` on PATH and in pyenv's versions",
        ),
        hint="install `uv`, which gets it by itself: `pip install uv`",
    )


def _places(version: str, environ: Mapping[str, str]) -> Iterator[str]:
    if version.count(".") == 1 and (
        found := machine.which(f"python{version}", environ.get("PATH", os.defpath))
    ):
        yield found
    root = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/nowhere")) / ".pyenv")
    names = [name for name in machine.names(root / "versions") if f"{name}.".startswith(f"{version}.")]
    for name in sorted(names, key=_numbers, reverse=True):
        yield str(root / "versions" / name / "bin" / "python")


def _numbers(name: str) -> list[int]:
    return [int(part) for part in re.findall("[0-9]+", name)]
