"""How many of a compose service there are, with what, and when they are restarted: `deploy` and its relatives.

Decides what of it has a counterpart on one machine.
"""

from __future__ import annotations

from launchpad.imports import compose_values as values
from launchpad.imports.compose_one import One
from launchpad.imports.compose_reasons import DEPLOY, UNKNOWN
from launchpad.imports.compose_values import plain
from launchpad.stack.nodes import Entry, Map, Scalar, Seq


def replicas(one: One, entry: Entry) -> None:
    """Copies of what has ports need free ones to choose from, and who asks for one of them has to say which."""
    many = plain(entry.value)
    if many in (1, None):
        return
    if values.inner_ports(one.node):
        one.leave(entry, f"each copy needs a port of its own: make them ranges, then `replicas: {many}`")
    else:
        one.out["replicas"] = many


def deploy(one: One, entry: Entry) -> None:
    for key, part in entry.value.entries.items() if isinstance(entry.value, Map) else ():
        if key == "replicas":
            replicas(one, part)
        elif key == "restart_policy" and isinstance(part.value, Map):
            given = plain(part.value)
            known = {"none": "never", "on-failure": "on-failure", "any": "always"}
            one.out["restart"] = known.get(str(given.get("condition", "any")), "always")
            if isinstance(given.get("max_attempts"), int):
                one.out["max_restarts"] = given["max_attempts"]
            for lost in set(part.value.entries) - {"condition", "max_attempts"}:
                one.leave(
                    part.value.entries[lost], "see `backoff` and `window`", f"deploy.restart_policy.{lost}"
                )
        elif key == "resources" and isinstance(part.value, Map):
            _resources(one, part.value)
        else:
            one.leave(part, DEPLOY.get(key, UNKNOWN), f"deploy.{key}")


def _resources(one: One, node: Map) -> None:
    for side, entry in node.entries.items():
        for key, part in entry.value.entries.items() if isinstance(entry.value, Map) else ():
            if key == "devices":
                gpus(one, part)
            else:
                one.leave(part, DEPLOY["resources"], f"deploy.resources.{side}.{key}")


def gpus(one: One, entry: Entry) -> None:
    items = entry.value.items if isinstance(entry.value, Seq) else ()
    devices = [plain(item) for item in items]
    many = plain(entry.value) if isinstance(entry.value, Scalar) else None
    for device in devices:
        if isinstance(device, dict) and device.get("driver", "nvidia") == "nvidia":
            many = device.get("device_ids") or device.get("count", "all")
    if isinstance(many, (int, list)):
        one.out["gpus"] = (
            [int(one_) if str(one_).isdigit() else one_ for one_ in many] if isinstance(many, list) else many
        )
    else:
        one.leave(entry, "say how many: `gpus: 1`")


def develop(one: One, entry: Entry) -> None:
    globs = []
    watch = entry.value.get("watch") if isinstance(entry.value, Map) else None
    for item in watch.items if isinstance(watch, Seq) else ():
        given = plain(item)
        if isinstance(given, dict) and given.get("action") in ("restart", "sync+restart", "rebuild"):
            globs.append(one.around.path(str(given.get("path", "."))) + "/**/*")
    if globs:
        one.out["watch"] = globs
    one.leave(entry, "files are the same here, so nothing is copied" + ("; see `watch`" if globs else ""))
