"""Reads files of `NAME=value` lines.

Decides what a line means: blank lines and `#` comments are passed over, `export` is allowed, an unquoted value is
taken as it is up to a ` #`, a quoted one by the rules of `.env` files. Values are not filled in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from honcho import environ as dotenv
from msgspec import Struct, field

from launchpad.errors import Diagnostic, Span
from launchpad.stack import machine
from launchpad.stack.files import MAX_BYTES
from launchpad.stack.nodes import BREAK
from launchpad.stack.problems import BOUNDS, ENV_FILE, UNREADABLE, Stop, error, shown
from launchpad.stack.source import decode, reason

_LINE = re.compile(
    r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)\s*(?P<equals>=)?[ \t]*(?P<value>.*?)\s*\Z"
)


class EnvRead(Struct):
    """One env file as it was read. `names` in the file's order."""

    path: Path
    found: bool = False
    values: dict[str, str] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)


def read_env(path: Path, environ: Mapping[str, str], *, required: bool, wanted_at: Span | None) -> EnvRead:
    """Read `path`. A missing file is a problem at `wanted_at`, unless it is not required. A name without `=`
    is taken from `environ`."""
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
    for number, line in enumerate(BREAK.split(text), 1):
        _take(line, number, environ, result)
    return result


def _take(line: str, number: int, environ: Mapping[str, str], result: EnvRead) -> None:
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
        if name in environ:
            result.values[name] = environ[name]
        return
    if value[:1] not in ("'", '"'):
        result.values[name] = re.split(r"(?:^|\s)#", value, maxsplit=1)[0].rstrip()
        return
    try:
        result.values[name] = dotenv.parse(f"NAME={value}").get("NAME", "")
    except ValueError:
        column = match.start("value") + 1
        span = Span(str(result.path), number, column, number, column + 1)
        message = f"the quote of `{shown(name)}` is not closed on its line"
        result.problems.append(error(ENV_FILE, message, span))
