"""Rules of the file that span several keys, or that no type can express.

Decides on nodes, so a problem can name both places, and so these are found also where other values are wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from launchpad.errors import Diagnostic, Label, Span
from launchpad.stack.fields import NAME
from launchpad.stack.nodes import Map, Node, Scalar, kind
from launchpad.stack.parts import ALIVE_KINDS, READY_KINDS, SINK_WORDS
from launchpad.stack.problems import CHECK, CONFLICT, NOTHING, VALUE, error, listed, shown
from launchpad.stack.problems import NAME as BAD_NAME
from launchpad.stack.schema import JOB_ONLY
from launchpad.stack.scope import RESERVED

MAY_BE_NULL = ("environment", "output")
_VARIABLE = re.compile(r"[^=\0]+\Z")


def names(servers: Map | None, jobs: Map | None) -> Iterator[Diagnostic]:
    """Names that cannot be used, and names that a server and a job share."""
    for group in (servers, jobs):
        for name, entry in (group.entries if group else {}).items():
            if name.startswith("x-"):
                continue
            if not NAME.match(name):
                hint = "letters, digits, `_` and `-`, a letter first"
                yield error(BAD_NAME, f"`{shown(name)}` is not a name", entry.key.span, hint=hint)
            elif name in RESERVED:
                message = f"`{name}` cannot be a name: `${{{name}.…}}` has a meaning of its own"
                yield error(BAD_NAME, message, entry.key.span)
    for name, entry in (jobs.entries if jobs else {}).items():
        if servers and name in servers.entries and not name.startswith("x-"):
            first = Label(servers.entries[name].key.span, "a server of this name")
            message = f"`{shown(name)}` is both a server and a job"
            yield error(BAD_NAME, message, entry.key.span, "a job of this name", others=[first])


def nothing(span: Span) -> Diagnostic:
    """A file without any service."""
    hint = "for instance `servers: {web: {command: python -m http.server}}`"
    return error(NOTHING, "there is no server and no job in this file", span, hint=hint)


def service(name: str, is_job: bool, node: Map) -> Iterator[Diagnostic]:
    """What is wrong between the keys of one server or job."""
    if not is_job:
        for key in JOB_ONLY:
            if entry := node.entries.get(key):
                message = f"`{key}` belongs to a job, and `{name}` is a server"
                yield error(CONFLICT, message, entry.key.span)
    yield from _nothing(node)
    yield from _ports(node)
    yield from _restart(node)
    yield from _check(node, "ready", READY_KINDS)
    yield from _check(node, "alive", ALIVE_KINDS)
    yield from _environment(node)
    yield from _sinks(node)


def _nothing(node: Map) -> Iterator[Diagnostic]:
    """Keys with nothing behind the colon: probably still being written."""
    for key, entry in node.entries.items():
        value = entry.value
        if isinstance(value, Map) and key not in ("environment", "depends_on") and not key.startswith("x-"):
            yield from _nothing(value)
        elif isinstance(value, Scalar) and value.value is None and key not in MAY_BE_NULL:
            yield error(VALUE, f"`{key}` has no value", entry.key.span)


def _ports(node: Map) -> Iterator[Diagnostic]:
    ports = node.get("ports")
    if not isinstance(ports, Map):
        return
    main, port = ports.entries.get("main"), node.entries.get("port")
    if main and port:
        message = "`port` and `ports: {main: …}` are the same, and both are given"
        yield error(CONFLICT, message, main.key.span, others=[Label(port.key.span, "given here")])
    for name, entry in ports.entries.items():
        if not NAME.match(name):
            hint = "letters, digits, `_` and `-`, a letter first"
            yield error(BAD_NAME, f"`{shown(name)}` is not a name for a port", entry.key.span, hint=hint)


def _restart(node: Map) -> Iterator[Diagnostic]:
    restart, retries = node.entries.get("restart"), node.entries.get("retries")
    if restart is None:
        return
    inner = restart.value
    if isinstance(inner, Map):
        for key in ("backoff", "max_restarts", "window"):
            if key in inner.entries and key in node.entries:
                others = [Label(inner.entries[key].key.span, "given here as well")]
                yield error(CONFLICT, f"`{key}` is given twice", node.entries[key].key.span, others=others)
    policy = inner.get("policy") if isinstance(inner, Map) else inner
    if retries and isinstance(policy, Scalar) and policy.text in ("never", "always"):
        message = f"`retries` means `restart: on-failure`, and here `restart` is `{policy.text}`"
        others = [Label(policy.span, "given here")]
        yield error(CONFLICT, message, retries.key.span, others=others, hint="leave one of them out")


def _check(node: Map, key: str, kinds: tuple[str, ...]) -> Iterator[Diagnostic]:
    check = node.get(key)
    if not isinstance(check, Map):
        return
    given = [check.entries[name] for name in kinds if name in check.entries]
    if len(given) > 1:
        message = f"`{key}` is one of {listed((e.key.text for e in given), 'and')}, not several"
        others = [Label(given[0].key.span, "the first")]
        yield error(CHECK, message, given[1].key.span, others=others, hint="keep one of them")
    if "post" in check.entries and given and "http" not in check.entries:
        message = "`post` is what is sent by `http`, and there is none"
        others = [Label(given[0].key.span, "asked in this way")]
        yield error(CHECK, message, check.entries["post"].key.span, others=others)
    if "owner" in check.entries and given and not {"http", "tcp"} & set(check.entries):
        message = "`owner` is whose answer counts by `http` or `tcp`, and there is neither"
        others = [Label(given[0].key.span, "asked in this way")]
        yield error(CHECK, message, check.entries["owner"].key.span, others=others)
    for name in ("log", "notify"):
        if key == "alive" and name in check.entries:
            message = f"`{name}` tells that a service became ready, not that it still lives"
            hint = f"use {listed(kinds)}"
            yield error(CHECK, message, check.entries[name].key.span, hint=hint)


def _environment(node: Map) -> Iterator[Diagnostic]:
    environment = node.get("environment")
    for name, entry in environment.entries.items() if isinstance(environment, Map) else ():
        if not _VARIABLE.match(name):
            hint = f"`{name.partition('=')[0]}: {name.partition('=')[2]}`" if "=" in name[1:] else ""
            message = f"`{shown(name)}` is not the name of a variable"
            yield error(VALUE, message, entry.key.span, hint=hint)


def _sinks(node: Map) -> Iterator[Diagnostic]:
    output = node.get("output")
    items: tuple[Node, ...] = ()
    if output is not None:
        items = (output,) if isinstance(output, (Map, Scalar)) else output.items
    for item in items:
        if not isinstance(item, Map):
            continue
        given = [key for key in ("file", "jsonl") if key in item.entries]
        if len(given) != 1 and all(key in ("file", "jsonl", "rotate", "keep") for key in item.entries):
            message = "a sink is either `file` or `jsonl`"
            hint = f"or one of {listed(SINK_WORDS)}" if not given else "make it a list of two"
            yield error(CONFLICT, message, item.span, hint=hint)


def shape(key: str, node: Node | None) -> Iterator[Diagnostic]:
    """A part of the top level that has to be a map."""
    if (
        node is not None
        and not isinstance(node, Map)
        and not (isinstance(node, Scalar) and node.value is None)
    ):
        yield error(VALUE, f"`{key}` is a map of names, and this is {kind(node)}", node.span)
