"""What each key of a compose service becomes.

Decides one service at a time, key by key; what it does not take, `compose_reasons` explains.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from launchpad.imports import compose_deploy, compose_run
from launchpad.imports import compose_values as values
from launchpad.imports.compose_one import One
from launchpad.imports.compose_reasons import SERVICE, UNKNOWN
from launchpad.imports.compose_values import Around, plain
from launchpad.stack.nodes import Entry, Map, Scalar, Seq

_CONDITIONS = {
    "service_started": "started",
    "service_healthy": "ready",
    "service_completed_successfully": "done",
}


def service(around: Around, name: str, node: Map) -> dict[str, Any]:
    """The keys of a service that can run here."""
    one = One(around, name, node)
    compose_run.command(one)
    for key, entry in node.entries.items():
        if key in ("command", "entrypoint", "ports") or key.startswith("x-"):
            continue
        if key in KEYS:
            KEYS[key](one, entry)
        else:
            one.leave(entry, SERVICE.get(key, UNKNOWN))
    return one.out


def _image(one: One, entry: Entry) -> None:
    what = f"{plain(entry.value)}" if isinstance(entry.value, Scalar) else "it"
    one.leave(entry, f"`{what}` is not used: what the command needs has to be installed here")


def _build(one: One, entry: Entry) -> None:
    context = entry.value.get("context") if isinstance(entry.value, Map) else entry.value
    if isinstance(context, Scalar) and "://" not in context.text and "working_dir" not in one.out:
        one.out["working_dir"] = one.around.path(values.filled(context.text))
    one.leave(entry, "nothing is built; its folder is where the command runs")


def _working_dir(one: One, entry: Entry) -> None:
    path = str(plain(entry.value))
    if path.startswith("/"):
        one.leave(entry, f"`{path}` is a folder inside the container")
    else:
        one.out["working_dir"] = one.around.path(values.filled(path))


def _environment(one: One, entry: Entry) -> None:
    given: dict[str, Any] = {}
    if isinstance(entry.value, Map):
        given = plain(entry.value)
    elif isinstance(entry.value, Seq):
        for item in entry.value.items:
            key, equals, value = item.text.partition("=") if isinstance(item, Scalar) else ("", "", "")
            given[key] = value if equals else None
    main = str(one.out.get("port", ""))
    inner = values.inner_ports(one.node)
    found: dict[str, Any] = {}
    for key, value in given.items():
        found[key] = one.text(value) if isinstance(value, str) else value
        if key == "PORT" and inner and str(value) == inner[0] and main != inner[0]:
            found[key] = "${self.port}"
        _strangers(one, entry, key, str(found[key]))
    one.out["environment"] = found


def _strangers(one: One, entry: Entry, key: str, value: str) -> None:
    """Addresses of services that are not here."""
    for other in one.around.names:
        if other not in one.around.runs and re.search(rf"(?:^|//|@|=){re.escape(other)}(?=[:/]|\Z)", value):
            one.leave(
                entry, f"`{other}` cannot run here: give the address of one that does", f"environment.{key}"
            )


def _env_file(one: One, entry: Entry) -> None:
    items = entry.value.items if isinstance(entry.value, Seq) else (entry.value,)
    found: list[Any] = []
    for item in items:
        path = item.get("path") if isinstance(item, Map) else item
        where = one.around.path(values.filled(str(plain(path))))
        needed = item.get("required") if isinstance(item, Map) else None
        found.append({"path": where, "required": False} if plain(needed) is False else where)
        if isinstance(item, Map) and "format" in item.entries:
            one.leave(
                item.entries["format"], "such files are read as launchpad reads them", "env_file.format"
            )
    one.out["env_file"] = found[0] if len(found) == 1 and isinstance(found[0], str) else found


def _depends_on(one: One, entry: Entry) -> None:
    found: dict[str, Any] = {}
    needs = entry.value
    if isinstance(needs, Seq):
        pairs = [(item.text, None, item.span) for item in needs.items if isinstance(item, Scalar)]
    else:
        entries = needs.entries.items() if isinstance(needs, Map) else ()
        pairs = [(on, plain(how.value), how.key.span) for on, how in entries]
    for on, how, span in pairs:
        if on not in one.around.runs:
            one.around.draft.leave(span, f"{one.name}.depends_on.{on}", f"`{on}` cannot run here")
            continue
        given: dict[str, Any] = how or {}
        condition = _CONDITIONS.get(str(given.get("condition", "service_started")), "started")
        again = given.get("restart") is True
        found[one.around.names[on]] = {"condition": condition, "restart": True} if again else condition
        if given.get("required") is False:
            one.around.draft.leave(
                span, f"{one.name}.depends_on.{on}.required", "a dependency is always required"
            )
    if found:
        one.out["depends_on"] = found


def _restart(one: One, entry: Entry) -> None:
    policy, _, count = str(plain(entry.value)).partition(":")
    known = {
        "no": "never",
        "False": "never",
        "unless-stopped": "always",
        "always": "always",
        "on-failure": "on-failure",
    }
    if policy not in known:
        return one.leave(entry, f"`{policy}` is no policy")
    one.out["restart"] = known[policy]
    if count.isdigit():
        one.out["max_restarts"] = int(count)
    return None


def _profiles(one: One, entry: Entry) -> None:
    found = plain(entry.value)
    one.out["profiles"] = [str(profile) for profile in (found if isinstance(found, list) else [found])]


def _stop_signal(one: One, entry: Entry) -> None:
    one.out["stop_signal"] = str(plain(entry.value))


def _stop_grace(one: One, entry: Entry) -> None:
    found = values.duration(str(plain(entry.value)))
    if found is None:
        return one.leave(entry, "this is no duration")
    one.out["stop_grace"] = found
    return None


def _expose(one: One, entry: Entry) -> None:
    """Taken with the ports."""


KEYS: dict[str, Callable[[One, Entry], None]] = {
    "image": _image,
    "build": _build,
    "working_dir": _working_dir,
    "environment": _environment,
    "env_file": _env_file,
    "depends_on": _depends_on,
    "healthcheck": compose_run.healthcheck,
    "restart": _restart,
    "profiles": _profiles,
    "stop_signal": _stop_signal,
    "stop_grace_period": _stop_grace,
    "scale": compose_deploy.replicas,
    "deploy": compose_deploy.deploy,
    "gpus": compose_deploy.gpus,
    "develop": compose_deploy.develop,
    "expose": _expose,
}
"""What has a counterpart."""
