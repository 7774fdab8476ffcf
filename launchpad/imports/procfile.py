"""A Procfile as a stack file.

Decides who has a port and who is a job. What a Procfile means is honcho's business: its parser reads it, and its
convention says which numbers PORT has.
"""

from __future__ import annotations

import re
from pathlib import Path

from honcho.environ import PROCFILE_LINE, parse_procfile

from launchpad.errors import Refused, Span
from launchpad.imports.draft import Draft, names
from launchpad.stack.files import content
from launchpad.stack.problems import DUPLICATE, UNREADABLE, Stop, error
from launchpad.stack.source import decode, reason

NOT_THAT = "E170"
FIRST_PORT = 5000
STEP = 100
"""The first process has PORT 5000, the next 5100: what honcho and foreman do."""
_USES_PORT = re.compile(r"\$\{?PORT\b")


def draft(path: Path, *, folder: str, env: str | None) -> Draft:
    """`folder`: that of the file, seen from the stack file; `env`: the `.env` beside it, as the stack file will name it; None where there is none. Raises Refused."""
    found, text = Draft(path.name), _read(path)
    lines = _lines(path, text, found)
    if not lines:
        raise Refused(
            [error(NOT_THAT, f"`{path}` has no process", hint="a line is `name: command`, the name at its very beginning")]
        )  # fmt: skip
    if env is not None:
        found.top["env_file"] = env
    known = names(lines)
    for index, (name, command) in enumerate(parse_procfile(text).processes.items()):
        span, good = lines[name], known[name]
        keys: dict[str, object] = {"command": _command(command), "shell": True}
        if good != name:
            found.leave(span, name, f"such a name cannot be a service's; it is `{good}` here")
        if folder != ".":
            keys["working_dir"] = folder
        if _USES_PORT.search(command) or name == "web":
            low = FIRST_PORT + STEP * index
            keys["port"] = f"{low}-{low + STEP - 1}"
        if name == "release":
            found.jobs[good] = keys
            found.leave(span, name, "taken for a job; let what needs it say `depends_on: [release]`")
        else:
            found.servers[good] = keys
    return found


def _read(path: Path) -> str:
    """Raises Refused."""
    try:
        return decode(content(path), str(path))
    except Stop as stop:
        raise Refused([stop.diagnostic]) from None
    except OSError as problem:
        raise Refused([error(UNREADABLE, f"`{path}` cannot be read: {reason(problem)}")]) from None


def _lines(path: Path, text: str, found: Draft) -> dict[str, Span]:
    """Process → its place. Raises Refused for a name that is given twice."""
    places: dict[str, Span] = {}
    for number, line in enumerate(text.splitlines(), 1):
        span = Span(str(path), number, 1, number, len(line) + 1)
        match = PROCFILE_LINE.match(line)
        if match and match[1] in places:
            raise Refused([error(DUPLICATE, f"process `{match[1]}` is given twice", span)])
        if match:
            places[match[1]] = span
        elif line.strip() and not line.lstrip().startswith("#"):
            found.leave(
                span, line.strip()[:60], "not a line of the form `name: command`; honcho passes over it, too"
            )
    return places


def _command(command: str) -> str:
    """Every dollar is the shell's."""
    return re.sub(r"\$\$|\$(?=\{)", lambda match: match[0] * 2, command)
