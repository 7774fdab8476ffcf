"""Turns nodes into models, and what pydantic finds wrong into diagnostics in the file's terms.

Decides where each problem is and how it reads; what is allowed is decided by the models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from launchpad.errors import Diagnostic, Span
from launchpad.stack.gpus import Gpus
from launchpad.stack.nodes import Map, Node, Scalar, Seq, kind, kind_of, span_at, walk
from launchpad.stack.parts import Alive, Backoff, Dependency, EnvFile, Ready, Restart, Sink
from launchpad.stack.problems import MISSING, UNKNOWN_KEY, VALUE, closest, error, shown
from launchpad.stack.reuse import Extends, Include, Including
from launchpad.stack.schema import Defaults, Job, Server, Stack, Top
from launchpad.stack.scope import View, World
from launchpad.stack.words import Word

_FREE = ("environment", "headers", "vars", "post")
"""Maps whose keys are the user's own: a name that begins with `x-` means itself there."""

_INSIDE: dict[str, type[BaseModel]] = {
    "ready": Ready,
    "alive": Alive,
    "restart": Restart,
    "backoff": Backoff,
    "env_file": EnvFile,
    "output": Sink,
    "depends_on": Dependency,
    "gpus": Gpus,
    "include": Include,
    "extends": Extends,
}
_MEANT = {
    "env": "environment",
    "envs": "environment",
    "environ": "environment",
    "cmd": "command",
    "entrypoint": "command",
    "run": "command",
    "exec": "command",
    "cwd": "working_dir",
    "dir": "working_dir",
    "workdir": "working_dir",
    "healthcheck": "ready",
    "health": "ready",
    "readiness": "ready",
    "readiness_probe": "ready",
    "liveness": "alive",
    "liveness_probe": "alive",
    "needs": "depends_on",
    "after": "depends_on",
    "requires": "depends_on",
    "services": "servers",
    "processes": "servers",
    "tasks": "jobs",
    "variables": "vars",
    "log": "output",
    "logs": "output",
    "logging": "output",
    "stop_timeout": "stop_grace",
    "stop_grace_period": "stop_grace",
    "dotenv": "env_file",
    "virtualenv": "venv",
    "gpu": "gpus",
    "devices": "gpus",
    "regex": "log",
    "url": "http",
    "path": "http",
    "grace": "stop_grace",
}

T = TypeVar("T", bound=BaseModel)


class Converter:
    """Fills the strings of one service (or of the top level), and remembers which could not be filled."""

    def __init__(self, world: World, self_name: str = "", *, early: bool = False) -> None:
        self.world = world
        self.plain = View(world, self_name, early=early)
        probing = View(world, self_name, probing=True)
        self.views = {
            "ready": probing,
            "alive": probing,
            "command": View(world, self_name, commanding=True),
            "model": View(world, self_name, naming=True),
        }
        """Of the keys of a service whose strings see more than others."""
        self.broken: list[Scalar] = []

    def data(self, node: Node, key: str = "", *, view: View | None = None) -> Any:
        """Plain lists, maps, words, and None."""
        if isinstance(node, Scalar):
            return self._word(node, view or self.plain)
        if isinstance(node, Seq):
            return [self.data(item, key, view=view) for item in node.items]
        return {
            name: self.data(entry.value, name, view=view if key else self.views.get(name))
            for name, entry in node.entries.items()
            if key in _FREE or not name.startswith("x-")
        }

    def _word(self, node: Scalar, view: View) -> Word | None:
        if node.value is None:
            return None
        word = self.world.fill(node, view)
        if word is None:
            self.broken.append(node)
            return Word.of(node, ())
        return word


def validate(
    model: type[T], node: Map, converter: Converter, name: Span | None = None
) -> tuple[T | None, list[Diagnostic]]:
    """The model, or what is wrong with it. Problems of strings that could not be filled are not told twice.
    What is missing is missed at `name`."""
    data = converter.data(node)
    try:
        return model.model_validate(data), []
    except ValidationError as problem:
        errors = problem.errors(include_url=False)
        found = [d for one in errors for d in _explain(model, node, one, converter)]
        for one in errors:
            missed = one["type"] == "missing" and _missing(node, one["loc"], name)
            if missed and not any(f"`{one['loc'][-1]}`" in other.hint for other in found):
                found.append(missed)
        return None, found


def _explain(model: type[BaseModel], node: Map, problem: Any, converter: Converter) -> Iterator[Diagnostic]:
    path = tuple(problem["loc"])
    context = problem.get("ctx") or {}
    kind_name = problem["type"]
    if kind_name == "extra_forbidden":
        yield from _unknown(model, node, path)
        return
    if kind_name == "missing":
        return
    path = (*path, *context.get("path", ()))
    at, _ = walk(node, path)
    if any(at is one for one in converter.broken):
        return
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    span = span_at(node, path)
    if kind_name == "launchpad":
        offset = context["offset"]
        if offset >= 0 and isinstance(at, Scalar):
            span = at.place(offset)
        yield error(context["code"], _named(name, context["message"], at), span, hint=context["hint"])
        return
    yield error(VALUE, _plain(kind_name, name, at, problem), span)


def _named(name: str, message: str, at: Node) -> str:
    """A message about nothing needs the key's name."""
    if message.startswith("there is no value"):
        return f"`{name}` has no value"
    return f"`{name}`: {message}" if message.startswith("this is empty") else message


def _plain(kind_name: str, name: str, at: Node, problem: Any) -> str:
    wanted = "a map" if kind_name in ("dict_type", "model_type", "model_attributes_type") else "a list"
    got = kind(at) if not isinstance(at, Map) else kind_of(problem.get("input"))
    if isinstance(at, Scalar) and at.value is None:
        return f"`{name}` has no value"
    if isinstance(at, Scalar):
        return f"`{name}` takes {wanted}, not `{shown(at.text)}`"
    return f"`{name}` takes {wanted}, and this is {got}"


def _missing(node: Map, path: Sequence[str | int], name: Span | None) -> Diagnostic:
    key = str(path[-1])
    _, entry = walk(node, path[:-1])
    span = entry.key.span if entry else (name or span_at(node, path[:-1]))
    return error(MISSING, f"`{key}` is missing", span)


def _unknown(model: type[BaseModel], node: Map, path: Sequence[str | int]) -> Iterator[Diagnostic]:
    """An unknown key, at the key."""
    key = str(path[-1])
    inside = (
        next((_INSIDE[step] for step in reversed(path[:-1]) if step in _INSIDE), None) if path[1:] else None
    )
    target = inside or (Stack if model in (Top, Including) else model)
    if target is Server and key in ("retries", "primary"):
        return
    if target is Alive and key in ("log", "notify"):
        return
    parent, _ = walk(node, path[:-1])
    span = parent.entries[key].key.span if isinstance(parent, Map) and key in parent.entries else node.span
    known = list(target.model_fields)
    near = _MEANT.get(key.lower(), "")
    near = near if near in known else closest(key, known)
    hint = f"did you mean `{near}`?" if near else _where_else(key, target)
    yield error(UNKNOWN_KEY, f"unknown key `{shown(key)}`", span, hint=hint)


def _where_else(key: str, target: type[BaseModel]) -> str:
    """A key at the wrong level."""
    if target is Stack and key in Job.model_fields:
        return f"`{key}` belongs inside a server or a job, or into `defaults`"
    if target in (Server, Job, Defaults) and key in Stack.model_fields:
        return f"`{key}` belongs to the top of the file"
    if target in (Server, Job, Defaults) and key in Ready.model_fields:
        return f"`{key}` belongs into `ready`"
    if target is Stack and key == "version":
        return "leave it out"
    return "keys of your own begin with `x-`"
