"""How two versions of one service differ, key by key, in words. What must not be shown is masked.

Decides the words only; which key does what is in `effects`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from launchpad.errors import MASK
from launchpad.plan.config import Shown, service_as_written
from launchpad.plan.effects import Effect, Reasons, effect
from launchpad.plan.environments import changed_files
from launchpad.plan.read import Reading
from launchpad.stack.loaded import Loaded
from launchpad.stack.scope import MAIN

LONGEST = 60
_OWN_WORDS = ("command", "shell", "environment", "port", "ports")


def reasons(old: Reading, new: Reading, name: str, *, reshaped: bool) -> Reasons:
    """For a service that both have. `reshaped`: what shapes its process differs (its digest)."""
    if _is_as_written(old.loaded, new.loaded, name):
        return Reasons()
    shown = Shown((*old.secrets, *new.secrets))
    found: dict[Effect, list[str]] = {one: [] for one in Effect}
    for key, words in _differences(old.loaded, new.loaded, name, shown):
        found[effect(key)].append(words)
    return Reasons(tuple(found[Effect.REPLACE]) if reshaped else (), tuple(found[Effect.IN_PLACE]))


def _is_as_written(old: Loaded, new: Loaded, name: str) -> bool:
    """There is nothing to be said of it: most services of most edits. `_differences` looks at no more than this."""
    was, now = old.service(name), new.service(name)
    return (
        (was is now or was == now)
        and old.environment[name] == new.environment[name]
        and old.made.get(name) == new.made.get(name)
        and all(old.is_job(on) == new.is_job(on) for on in (name, *now.depends_on))
    )


def _differences(old: Loaded, new: Loaded, name: str, shown: Shown) -> Iterator[tuple[str, str]]:
    """(key, in words)."""
    if old.is_job(name) != new.is_job(name):
        yield "command", "it is a job now" if new.is_job(name) else "it is a server now"
    yield from _command(old, new, name, shown)
    yield from _environment(old, new, name, shown)
    yield from _ports(old, new, name)
    before, after = _plain(old, name, shown), _plain(new, name, shown)
    yield from _requirements(old, new, name, before == after)
    for key in dict.fromkeys([*before, *after]):
        if key not in _OWN_WORDS:
            yield from _value(key, before.get(key), after.get(key))
    for key in ("ready", "alive"):
        differs = getattr(old.service(name), key) != getattr(new.service(name), key)
        if differs and before.get(key) == after.get(key):
            yield key, f"{key} changed where it is not shown"


def _requirements(old: Loaded, new: Loaded, name: str, as_written: bool) -> Iterator[tuple[str, str]]:
    """Other contents of their files; and for who shares the `venv` of another one, what that one says."""
    was, now = old.made.get(name), new.made.get(name)
    files = [os.path.relpath(file, new.dir) for file in changed_files(was, now)]
    for file in files:
        yield "requirements", f"requirements: `{file}` changed"
    if was and now and not files and as_written and was.shape != now.shape:
        yield "requirements", "what its `venv` is made of changed"


def _plain(loaded: Loaded, name: str, shown: Shown) -> dict[str, Any]:
    one = loaded.service(name)
    return {**service_as_written(loaded, name, one, shown), "host": one.host, "handover": one.handover}


def _value(key: str, old: Any, new: Any) -> Iterator[tuple[str, str]]:
    """A map is gone through; the rest is compared as it is."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for inner in dict.fromkeys([*old, *new]):
            yield from _value(f"{key}.{inner}", old.get(inner), new.get(inner))
    elif old is None:
        yield from _whole(key, new, "added")
    elif new is None:
        yield from _whole(key, old, "removed")
    else:
        yield key, f"{key} changed from {_said(old)} to {_said(new)}"


def _whole(key: str, value: Any, what: str) -> Iterator[tuple[str, str]]:
    if key.startswith("depends_on."):
        yield key, f"depends_on: `{key.partition('.')[2]}` {what}"
    elif isinstance(value, Mapping) and key in ("ready", "alive"):
        for inner, one in value.items():
            if inner in ("http", "tcp", "exec", "file", "log", "notify"):
                yield f"{key}.{inner}", f"{key}.{inner} {what}: {_said(one)}"
    elif isinstance(value, Mapping):
        for inner, one in value.items():
            yield from _whole(f"{key}.{inner}", one, what)
    else:
        yield key, f"{key} {what}: {_said(value)}"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, (list, tuple)):
        return f"`{_short(' '.join(str(one) for one in value))}`" if value else "nothing"
    return f"`{_short(str(value))}`"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _command(old: Loaded, new: Loaded, name: str, shown: Shown) -> Iterator[tuple[str, str]]:
    was, now = old.service(name), new.service(name)
    if was.command == now.command:
        return
    if was.shell or now.shell:
        if was.shell != now.shell:
            yield "shell", "it runs in a shell now" if now.shell else "it runs without a shell now"
        else:
            texts = [_said(shown.text(one.command[2])) for one in (was, now)]
            yield "command", f"command changed from {texts[0]} to {texts[1]}"
        return
    matcher = SequenceMatcher(None, was.command, now.command, autojunk=False)
    before, after = shown.texts(was.command), shown.texts(now.command)
    for what, a, b, c, d in matcher.get_opcodes():
        if what != "equal":
            yield "command", _arguments(before[a:b], after[c:d], a, c)


def _arguments(old: Sequence[str], new: Sequence[str], at_old: int, at_new: int) -> str:
    """The program is argument 0."""
    if not old:
        return f"{_place(at_new, len(new))} added: {_said(new)}"
    if not new:
        return f"{_place(at_old, len(old))} removed: {_said(old)}"
    place = "the program" if (at_old, len(old), len(new)) == (0, 1, 1) else _place(at_old, len(old))
    if list(old) == list(new):
        return f"{place} changed where it is not shown"
    return f"{place} changed from {_said(old)} to {_said(new)}"


def _place(at: int, count: int) -> str:
    return f"argument {at}" if count == 1 else f"arguments {at} to {at + count - 1}"


def _environment(old: Loaded, new: Loaded, name: str, shown: Shown) -> Iterator[tuple[str, str]]:
    was = {variable.name: variable for variable in old.environment[name]}
    now = {variable.name: variable for variable in new.environment[name]}
    for key in dict.fromkeys([*was, *now]):
        if key not in was:
            yield "environment", f"environment: `{key}` added"
        elif key not in now:
            yield "environment", f"environment: `{key}` removed"
        elif was[key].value != now[key].value:
            before, after = shown.text(was[key].value), shown.text(now[key].value)
            hidden = was[key].secret or now[key].secret or before == after or MASK in (before, after)
            values = "" if hidden else f" from {_said(before)} to {_said(after)}"
            yield "environment", f"environment: `{key}` changed{values}"


def _ports(old: Loaded, new: Loaded, name: str) -> Iterator[tuple[str, str]]:
    was, now = _asked(old, name), _asked(new, name)
    for key in dict.fromkeys([*was, *now]):
        word = "port" if key == MAIN else f"port `{key}`"
        if was.get(key) != now.get(key):
            if key not in was:
                yield "ports", f"{word} added: {now[key]}"
            elif key not in now:
                yield "ports", f"{word} removed"
            else:
                yield "ports", f"{word} {was[key]} → {now[key]}"


def _asked(loaded: Loaded, name: str) -> dict[str, str]:
    one = loaded.service(name)
    written = {**({MAIN: one.port} if one.port else {}), **one.ports}
    return {key: str(port) for key, port in written.items()}
