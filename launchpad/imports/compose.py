"""A compose file as a stack file: which services can run here, and which of them are jobs.

Decides what becomes of a service as a whole. What its keys become is in `compose_keys`; why some have no counterpart in
`compose_reasons`.
"""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from launchpad.errors import Refused, Span
from launchpad.imports import compose_keys, compose_values
from launchpad.imports.compose_reasons import TOP, UNKNOWN
from launchpad.imports.compose_values import Around, plain, words
from launchpad.imports.draft import Draft, names
from launchpad.stack import source
from launchpad.stack.nodes import Map, Scalar, kind
from launchpad.stack.problems import VALUE, error

NOT_THAT = "E170"
NONE_RUNS = "E171"
_BY_HAND = "What it would run is told by its image; a `command` is needed here"


def draft(path: Path, *, folder: str, env: str | None) -> Draft:
    """`folder`: that of the file, seen from the stack file; `env`: the `.env` beside it, likewise, None where there is
    none. Raises Refused with everything that is wrong with the file."""
    root = _root(path)
    services = _services(path, root)
    found = Draft(path.name)
    around = Around(found, folder, names(services))
    _top(found, root, env)
    for name, node in services.items():
        if why := _not_here(node):
            found.leave(_place(root, name), name, why)
            found.comments.append(f"{name}: {_told(node)}. {_BY_HAND}.")
        else:
            around.runs[name] = compose_values.inner_ports(node)
    if not around.runs:
        raise Refused([error(NONE_RUNS, f"no service of `{path}` can run here", notes=found.places())])
    jobs = _jobs(services)
    for name in around.runs:
        keys = compose_keys.service(around, name, services[name])
        if folder != ".":
            keys.setdefault("working_dir", folder)
        (found.jobs if name in jobs else found.servers)[around.names[name]] = keys
        if around.names[name] != name:
            found.leave(
                _place(root, name),
                name,
                f"such a name cannot be a service's; it is `{around.names[name]}` here",
            )
    _unsaid(found, root, services)
    return found


def _root(path: Path) -> Map:
    read = source.read(path)
    if read.root is None or read.problems:
        told = [
            replace(one, message=one.message.replace("stack file", "compose file"), hint="")
            for one in read.problems
        ]
        raise Refused(told)
    return read.root


def _services(path: Path, root: Map) -> dict[str, Map]:
    entry = root.entries.get("services")
    if entry is None or not isinstance(entry.value, Map) or not entry.value.entries:
        span = entry.span if entry else None
        hint = "a Procfile has no ending .yaml" if entry is None else ""
        raise Refused(
            [error(NOT_THAT, f"`{path}` has no services, so it is no compose file", span, hint=hint)]
        )
    wrong = [
        error(VALUE, f"service `{name}` is a map of keys, and this is {kind(one.value)}", one.span)
        for name, one in entry.value.entries.items()
        if not isinstance(one.value, Map)
    ]
    if wrong:
        raise Refused(wrong)
    return {name: one.value for name, one in entry.value.entries.items() if isinstance(one.value, Map)}


def _top(found: Draft, root: Map, env: str | None) -> None:
    for key, entry in root.entries.items():
        if key == "name":
            found.top["name"] = compose_values.filled(str(plain(entry.value)))
        elif key != "services" and not key.startswith("x-"):
            found.leave(entry.key.span, key, TOP.get(key, UNKNOWN))
    if env is not None:
        found.top["env_file"] = env


def _place(root: Map, name: str) -> Span:
    services = root.entries["services"].value
    return services.entries[name].key.span if isinstance(services, Map) else root.span


def _not_here(node: Map) -> str:
    """Why a service cannot run without a container; empty when it can."""
    command, entrypoint = words(node.get("command")), words(node.get("entrypoint"))
    if not (command or entrypoint):
        return "it has no `command`: what it would run is inside its image"
    if not entrypoint and command[0].startswith("-"):
        return "its `command` is nothing but arguments for a program inside its image"
    return ""


def _told(node: Map) -> str:
    for key in ("image", "build"):
        if isinstance(value := node.get(key), Scalar):
            return f"{key} {value.text}"
    return "build" if "build" in node.entries else "no image"


def _jobs(services: dict[str, Map]) -> set[str]:
    """Those of which somebody waits for the end."""
    found = set()
    for node in services.values():
        needs = node.get("depends_on")
        for name, entry in needs.entries.items() if isinstance(needs, Map) else ():
            condition = entry.value.get("condition") if isinstance(entry.value, Map) else None
            if isinstance(condition, Scalar) and condition.text == "service_completed_successfully":
                found.add(name)
    return found


def _unsaid(found: Draft, root: Map, services: dict[str, Map]) -> None:
    """What is not written in either file, and differs."""
    servers = [name for name, node in services.items() if found.servers.get(name) and "restart" not in node.entries
               and "deploy" not in node.entries]  # fmt: skip
    if servers:
        entry = root.entries["services"]
        listed = ", ".join(servers)
        found.leave(
            entry.key.span, listed, "compose starts these once; here a server that fails is restarted"
        )
