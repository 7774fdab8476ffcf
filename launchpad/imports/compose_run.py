"""What a compose service runs, where it listens, and when it is ready.

Decides which number its port has: the one that others know, where the command can be told it, else the one on which the
program listens by itself.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from launchpad.imports import compose_values as values
from launchpad.imports.compose_one import One
from launchpad.imports.compose_values import plain
from launchpad.stack.nodes import Entry, Map, Scalar

_FETCH = re.compile(
    r"(?:curl|wget)\s(?:(?!\s-(?:X|H|d|-request|-header|-data)\b)[^|;&'\"])*?['\"]?"
    r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(?P<port>\d+))?(?P<path>/[^\s'\"|;&]*)?['\"]?"
    r"\s*(?:(?:>|-o)\s*/dev/null\s*)?(?:\|\|\s*exit\s+1)?\s*\Z"
)


def command(one: One) -> None:
    entrypoint, command = one.node.get("entrypoint"), one.node.get("command")
    words = [*values.words(entrypoint), *values.words(command)]
    inner = values.inner_ports(one.node)
    with_port = values.with_own_port(words, inner[0]) if inner else None
    said = [one.text(word) for word in with_port or words]
    only = command if entrypoint is None else entrypoint if command is None else None
    as_written = isinstance(only, Scalar) and with_port is None
    one.out["command"] = one.text(only.text) if as_written and isinstance(only, Scalar) else _joined(said)
    _ports(one, inner, moved=with_port is not None)


def _joined(words: list[str]) -> str | list[str]:
    """A line where that reads better and means the same."""
    line = " ".join(words)
    return line if all(re.fullmatch(r"[\w@%+=:,./${}-]+", word) for word in words) else words


def _ports(one: One, inner: list[str], *, moved: bool) -> None:
    """`moved`: the command is told its port, so it can be the one that others know."""
    known = {port.inner: port for port in one.ports}
    for given in values.ports(one.node.get("ports")):
        if given.note:
            one.around.draft.leave(given.span, f"{one.name}.ports", given.note)
    for index, number in enumerate(inner):
        port = known.get(number)
        outer = port.outer if port else number
        if index == 0:
            one.out["port"] = (int(outer) if outer else "auto") if moved else int(number)
        else:
            one.out.setdefault("ports", {})[f"p{number}"] = int(number)
        if port and outer not in ("", number) and not (moved and index == 0):
            why = f"nobody maps ports here: it is reached where it listens, on {number} instead of {outer}"
            one.around.draft.leave(port.span, f"{one.name}.ports", why)
        if port and port.host and index == 0:
            one.out["host"] = port.host


def healthcheck(one: One, entry: Entry) -> None:
    given = plain(entry.value)
    test = given.get("test") if isinstance(given, dict) else None
    if not isinstance(entry.value, Map) or given.get("disable") is True or test in ("NONE", ["NONE"], None):
        return one.leave(entry, "readiness is asked of the port, if there is one")
    ready: dict[str, Any] = _test(one, test)
    for theirs, ours in (("interval", "interval"), ("timeout", "probe_timeout")):
        if theirs in given and (found := values.duration(str(given[theirs]))):
            ready[ours] = found
    for key in ("retries", "start_period", "start_interval"):
        if key in given:
            why = "a start is given up after `stall` without any sign of life, or `timeout`"
            one.leave(entry.value.entries[key], why, f"healthcheck.{key}")
    one.out["ready"] = ready["http"] if list(ready) == ["http"] else ready
    return None


def _test(one: One, test: Any) -> dict[str, Any]:
    inner = values.inner_ports(one.node)
    if isinstance(test, list) and test and test[0] == "CMD":
        line, exec_ = shlex.join(str(word) for word in test[1:]), [one.text(str(word)) for word in test[1:]]
    else:
        line = str(test[-1] if isinstance(test, list) and test else test)
        exec_ = ["/bin/sh", "-c", values.filled(line)]
    match = _FETCH.search(line.replace("$$", "$"))
    if match and (match["port"] or "80") in inner[:1]:
        return {"http": match["path"] or "/"}
    own = values.with_own_port(exec_, inner[0]) if inner else None
    return {"exec": [word.replace("localhost", "127.0.0.1") for word in own or exec_]}
