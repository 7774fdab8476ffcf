"""What is allowed and probably not meant: warnings.

Decides nothing that changes how a stack runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from launchpad.errors import Diagnostic
from launchpad.plan import ports
from launchpad.plan.environment import shouted
from launchpad.stack import machine
from launchpad.stack.environments import useless
from launchpad.stack.loaded import Loaded
from launchpad.stack.nodes import Map, Scalar, scalars
from launchpad.stack.problems import HOST, UNUSUAL, error
from launchpad.stack.schema import Job, Server

RANGE = "E311"
RAY = (10002, 19999)
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
EPHEMERAL = (32768, 60999)
"""Linux's own default, where the kernel does not tell."""

Bands = tuple[tuple[tuple[int, int], str], ...]
"""Ranges that others take ports from, and who they are."""

_LOCALHOST = re.compile(r"(?<![\w.-])localhost(?![\w.-])")
_SHELL = re.compile(r"(\||\|\||&|&&|;|[0-9]?>{1,2}(&[0-9])?|<{1,2}|\$\(.*|`.*)\Z")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_SHELL_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")


def warnings(loaded: Loaded, names: Collection[str] | None = None) -> Iterator[Diagnostic]:
    """All of them, for a stack that is in order; or those of some of its services."""
    names = loaded.order if names is None else names
    bands = (
        (ephemeral(), "the ports that the kernel takes for outgoing connections"),
        (RAY, "the ports of Ray's workers"),
    )
    there: dict[str, bool] = {}
    for name in names:
        service = loaded.service(name)
        yield from _ranges(loaded, name, bands)
        yield from _localhost(loaded, name)
        if not service.shell:
            yield from _shell(loaded, name, service)
        yield from _folder(loaded, name, service, there)
        yield from _same_variables(loaded, name, service)
    yield from _vllm(loaded)
    for name, span in useless((name, loaded.trees[name]) for name in names):
        message = f"`python` has no effect on `{name}`: nothing is made for it"
        hint = "give it `requirements`, `[]` for none"
        yield error(UNUSUAL, message, span, hint=hint, severity="warning")


def ephemeral() -> tuple[int, int]:
    """The range from which the kernel takes ports for outgoing connections."""
    try:
        low, high = machine.content(PORT_RANGE).split()
        return int(low), int(high)
    except (OSError, ValueError):
        return EPHEMERAL


def _ranges(loaded: Loaded, name: str, bands: Bands) -> Iterator[Diagnostic]:
    for request in ports.requests(loaded, name):
        for (low, high), what in bands:
            if (
                not request.auto
                and request.low < request.high
                and request.low <= high
                and low <= request.high
            ):
                message = f"the range {request.low}-{request.high} overlaps {what} ({low}-{high})"
                span = ports.place(loaded, name, request.name)
                yield error(RANGE, message, span, severity="warning")


def _localhost(loaded: Loaded, name: str) -> Iterator[Diagnostic]:
    tree = loaded.trees[name]
    for key in ("command", "environment", "ready", "alive"):
        for node in scalars(tree.get(key) or Map(tree.span)):
            if match := _LOCALHOST.search(node.text):
                message = "`localhost` is two addresses (127.0.0.1 and ::1), and a server takes one of them"
                span = node.place(match.start(), len("localhost"))
                yield error(HOST, message, span, hint="write `127.0.0.1`", severity="warning")


def _shell(loaded: Loaded, name: str, service: Server | Job) -> Iterator[Diagnostic]:
    """Words of a shell in a command that runs without one."""
    node = loaded.trees[name].get("command")
    if not isinstance(node, Scalar):
        return
    words = ["".join(str(part) for part in argument) for argument in service.command]
    for index, word in enumerate(words):
        written = node.text.find(word)
        if written < 0:
            continue
        meant = _SHELL.match(word) or (index == 0 and _ASSIGNMENT.match(word)) or _SHELL_VARIABLE.match(word)
        if meant:
            message = f"`{word}` means something to a shell only, and this command runs without one"
            hint = "put it under `environment:`" if index == 0 and "=" in word else "add `shell: true`"
            span = node.place(written, len(word))
            yield error(UNUSUAL, message, span, hint=hint, severity="warning")
            return


def _folder(loaded: Loaded, name: str, service: Server | Job, there: dict[str, bool]) -> Iterator[Diagnostic]:
    """`there`: what is known of folders, most services have the same."""
    wanted = service.working_dir
    folder = os.path.normpath(os.path.join(loaded.dir, machine.at_home(wanted)))
    if wanted not in there:
        there[wanted] = machine.is_dir(folder)
    if not there[wanted]:
        message = f"there is no folder `{folder}` yet, and `{name}` runs in it"
        yield error(UNUSUAL, message, loaded.span(name, "working_dir"), severity="warning")


def _same_variables(loaded: Loaded, name: str, service: Server | Job) -> Iterator[Diagnostic]:
    seen: dict[str, str] = {}
    for on in service.depends_on:
        called = shouted(loaded.needs[name].said.get(on, on))
        other = seen.setdefault(called, on)
        if other != on:
            message = f"`{other}` and `{on}` would both be `{called}_URL` in the environment of `{name}`"
            yield error(UNUSUAL, message, loaded.span(name, "depends_on", on), severity="warning")
    called_so: dict[str, str] = {}
    for port in service.ports:
        other = called_so.setdefault(shouted(port), port)
        if other != port:
            message = f"the ports `{other}` and `{port}` would both be `PORT_{shouted(port)}`"
            yield error(UNUSUAL, message, loaded.span(name, "ports", port), severity="warning")


def _vllm(loaded: Loaded) -> Iterator[Diagnostic]:
    for name in loaded.order:
        if shouted(name) != "VLLM" or not loaded.service(name).port:
            continue
        users = [other for other in loaded.order if name in loaded.service(other).depends_on]
        if users:
            message = f"`{users[0]}` is given VLLM_PORT, which vLLM reads as the first port to try for itself"
            yield error(UNUSUAL, message, loaded.name_span(name), hint="call it `llm`", severity="warning")
