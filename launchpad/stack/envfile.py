"""Reads files of `NAME=value` lines.

Decides what a line means: blank lines and `#` comments are passed over, `export` is allowed, an unquoted value goes up to a
` #`, a quoted one by the rules of `.env` files. `${NAME}` is filled in as in a stack file, except between `'`; a dollar
before anything else, which many a password has, is a dollar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from honcho import environ as dotenv
from msgspec import Struct, field

from launchpad.errors import Diagnostic, Span
from launchpad.stack import machine
from launchpad.stack.files import MAX_BYTES
from launchpad.stack.nodes import BREAK
from launchpad.stack.problems import BOUNDS, ENV_FILE, UNREADABLE, Stop, did_you_mean, error, shown
from launchpad.stack.source import decode, reason
from launchpad.stack.template import Piece, Problem, fill

AS_IT_IS = "between single quotes a value is taken as it is"
NOTHING: Mapping[str, str] = {}
_DOLLARS = re.compile(r"\$\$(?!\{)")
"""Two of them are two: only `$${` is a way to write `${`."""
_LINE = re.compile(
    r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)\s*(?P<equals>=)?[ \t]*(?P<value>.*?)\s*\Z"
)


class EnvRead(Struct):
    """One env file as it was read. `names` in the file's order."""

    path: Path
    found: bool = False
    values: dict[str, str] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)


class _Lines(Struct):
    """What `${NAME}` is worth in a file: launchpad's own environment wins, then the lines above it, then other files."""

    environ: Mapping[str, str]
    above: Mapping[str, str]
    known: Mapping[str, str]

    def variable(self, name: str) -> Piece | None:
        layers = (self.environ, self.above, self.known)
        return next((Piece(layer[name]) for layer in layers if name in layer), None)

    def reference(self, path: Sequence[str]) -> Sequence[Piece]:
        raise Problem(ENV_FILE, "an env file knows variables only, no services", hint=AS_IT_IS)

    def is_service(self, name: str) -> bool:
        return False

    def near(self, name: str) -> str:
        return did_you_mean(name, [*self.above, *self.known, *self.environ]) or AS_IT_IS


def read_env(
    path: Path,
    environ: Mapping[str, str],
    *,
    required: bool,
    wanted_at: Span | None,
    known: Mapping[str, str] = NOTHING,
) -> EnvRead:
    """Read `path`. A missing file is a problem at `wanted_at`, unless it is not required. A name without `=`
    is taken from `environ`; `${NAME}` from there, from the lines above, or from what is `known` of other files."""
    result = EnvRead(path)
    try:
        data = machine.content(path)
        result.found = True
        if len(data) > MAX_BYTES:
            raise Stop(
                error(BOUNDS, f"the env file `{path}` is larger than {MAX_BYTES // 1000} kB", wanted_at)
            )
        text = decode(data, str(path))
    except FileNotFoundError:
        if required:
            hint = f"create it, or `{{path: {path.name}, required: false}}`" if wanted_at else ""
            result.problems.append(error(ENV_FILE, f"there is no file `{path}`", wanted_at, hint=hint))
        return result
    except OSError as problem:
        message = f"the env file `{path}` cannot be read: {reason(problem)}"
        result.problems.append(error(UNREADABLE, message, wanted_at))
        return result
    except Stop as stop:
        result.problems.append(stop.diagnostic)
        return result
    scope = _Lines(environ, result.values, known)
    for number, line in enumerate(BREAK.split(text), 1):
        _take(line, number, scope, result)
    return result


def _take(line: str, number: int, scope: _Lines, result: EnvRead) -> None:
    if not line.strip() or line.lstrip().startswith("#"):
        return
    match = _LINE.match(line)
    if not match or not (match["equals"] or not match["value"]):
        indent = len(line) - len(line.lstrip())
        span = Span(str(result.path), number, indent + 1, number, len(line.rstrip()) + 1)
        result.problems.append(error(ENV_FILE, "this line is not `NAME=value`", span))
        return
    name, value = match["name"], match["value"]
    if not match["equals"]:
        if name in scope.environ:
            result.values[name] = scope.environ[name]
        return
    column = match.start("value") + 1
    if value[:1] not in ("'", '"'):
        plain = re.split(r"(?:^|\s)#", value, maxsplit=1)[0].rstrip()
        result.values[name] = _filled(plain, scope, result, number, column)
        return
    try:
        quoted = value.replace("\\${", "$${") if value[0] == '"' else value
        found = dotenv.parse(f"NAME={quoted}").get("NAME", "")
    except ValueError:
        span = Span(str(result.path), number, column, number, column + 1)
        message = f"the quote of `{shown(name)}` is not closed on its line"
        result.problems.append(error(ENV_FILE, message, span))
        return
    result.values[name] = _filled(found, scope, result, number, column + 1) if value[0] == '"' else found


def _filled(text: str, scope: _Lines, result: EnvRead, number: int, column: int) -> str:
    """As it is, where something in it cannot be filled in."""
    if "${" not in text:
        return text
    doubled = _DOLLARS.sub("$$$$", text)
    try:
        return "".join(piece.text for piece in fill(doubled, scope))
    except Problem as problem:
        for one in (problem, *problem.more):
            at = column + len(doubled[: one.offset].replace("$$", "$"))
            span = Span(str(result.path), number, at, number, at + one.length)
            result.problems.append(error(one.code, one.message, span, hint=one.hint))
        return text
