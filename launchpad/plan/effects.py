"""What a change of each key does to a process that runs, if nothing else changes. Written once, here.

The digest (`plan.digest`), the reasons of a diff and the reference follow from it or are compared with it in tests.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Effect(StrEnum):
    """REPLACE: the process has to be another one; `on_change` says how that comes about. IN_PLACE: it changes under
    the running process. NEXT_UP: it is looked at when launchpad starts. NONE: it does nothing by itself, only
    what refers to it may change."""

    REPLACE = "replace"
    IN_PLACE = "in place"
    NEXT_UP = "next up"
    NONE = "none"


class Reasons(Struct, frozen=True):
    """What differs in what shapes the process, and in what can change under it; in words."""

    replace: tuple[str, ...] = ()
    in_place: tuple[str, ...] = ()


SERVICE: dict[str, Effect] = {
    "command": Effect.REPLACE,
    "uses": Effect.NONE,
    "model": Effect.NONE,
    "args": Effect.REPLACE,
    "shell": Effect.REPLACE,
    "environment": Effect.REPLACE,
    "env_file": Effect.REPLACE,
    "env_file.path": Effect.REPLACE,
    "env_file.required": Effect.NONE,
    "inherit_env": Effect.REPLACE,
    "working_dir": Effect.REPLACE,
    "venv": Effect.REPLACE,
    "requirements": Effect.REPLACE,
    "python": Effect.REPLACE,
    "port": Effect.REPLACE,
    "ports": Effect.REPLACE,
    "host": Effect.REPLACE,
    "handover": Effect.REPLACE,
    "gpus": Effect.REPLACE,
    "gpus.count": Effect.REPLACE,
    "gpus.ids": Effect.REPLACE,
    "gpus.memory": Effect.REPLACE,
    "gpus.wait": Effect.IN_PLACE,
    "depends_on": Effect.IN_PLACE,
    "depends_on.condition": Effect.IN_PLACE,
    "depends_on.restart": Effect.IN_PLACE,
    "extends": Effect.NONE,
    "extends.file": Effect.NONE,
    "extends.service": Effect.NONE,
    "ready": Effect.IN_PLACE,
    "ready.http": Effect.IN_PLACE,
    "ready.tcp": Effect.IN_PLACE,
    "ready.exec": Effect.IN_PLACE,
    "ready.file": Effect.IN_PLACE,
    "ready.log": Effect.IN_PLACE,
    "ready.notify": Effect.REPLACE,
    "ready.post": Effect.IN_PLACE,
    "ready.once": Effect.IN_PLACE,
    "ready.status": Effect.IN_PLACE,
    "ready.body": Effect.IN_PLACE,
    "ready.headers": Effect.IN_PLACE,
    "ready.owner": Effect.IN_PLACE,
    "ready.interval": Effect.IN_PLACE,
    "ready.probe_timeout": Effect.IN_PLACE,
    "ready.failures": Effect.IN_PLACE,
    "ready.successes": Effect.IN_PLACE,
    "ready.stall": Effect.IN_PLACE,
    "ready.timeout": Effect.IN_PLACE,
    "alive": Effect.IN_PLACE,
    "alive.http": Effect.IN_PLACE,
    "alive.tcp": Effect.IN_PLACE,
    "alive.exec": Effect.IN_PLACE,
    "alive.file": Effect.IN_PLACE,
    "alive.status": Effect.IN_PLACE,
    "alive.body": Effect.IN_PLACE,
    "alive.headers": Effect.IN_PLACE,
    "alive.owner": Effect.IN_PLACE,
    "alive.interval": Effect.IN_PLACE,
    "alive.probe_timeout": Effect.IN_PLACE,
    "alive.failures": Effect.IN_PLACE,
    "restart": Effect.IN_PLACE,
    "restart.policy": Effect.IN_PLACE,
    "restart.backoff": Effect.IN_PLACE,
    "restart.max_restarts": Effect.IN_PLACE,
    "restart.window": Effect.IN_PLACE,
    "backoff": Effect.IN_PLACE,
    "backoff.initial": Effect.IN_PLACE,
    "backoff.max": Effect.IN_PLACE,
    "backoff.factor": Effect.IN_PLACE,
    "max_restarts": Effect.IN_PLACE,
    "window": Effect.IN_PLACE,
    "retries": Effect.IN_PLACE,
    "primary": Effect.IN_PLACE,
    "stop_signal": Effect.IN_PLACE,
    "stop_grace": Effect.IN_PLACE,
    "output": Effect.IN_PLACE,
    "output.file": Effect.IN_PLACE,
    "output.jsonl": Effect.IN_PLACE,
    "output.rotate": Effect.IN_PLACE,
    "output.keep": Effect.IN_PLACE,
    "profiles": Effect.IN_PLACE,
    "replicas": Effect.NONE,
    "watch": Effect.IN_PLACE,
    "on_change": Effect.IN_PLACE,
}
"""Keys of a server or a job; after a point, keys of the map that stands there. `env_file` counts by its contents,
a key that is filled in (`${…}`) by what it is filled in with. What `depends_on` names anew gives its address to the
process that is started next."""

TOP: dict[str, Effect] = {
    "name": Effect.NEXT_UP,
    "env_file": Effect.REPLACE,
    "when_supervisor_dies": Effect.IN_PLACE,
    "include": Effect.NONE,
    "vars": Effect.NONE,
    "defaults": Effect.NONE,
    "servers": Effect.NONE,
    "jobs": Effect.NONE,
}


def effect(path: str) -> Effect:
    """Of `ready.http`, `environment.PATH`, `restart.backoff.max`…: the row of the longest beginning that has one.
    Raises KeyError for a key that there is not."""
    steps = path.split(".")
    for length in range(len(steps), 1, -1):
        if (found := SERVICE.get(".".join(steps[:length]))) is not None:
            return found
    return SERVICE[steps[0]]
