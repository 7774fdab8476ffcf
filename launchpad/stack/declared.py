"""The environment that a stack declares for each service, and which values of it must not be shown.

Decides what wins over what. Reads no files: what was read is handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from launchpad.stack.envfile import EnvRead
from launchpad.stack.home import Home, env_files_around
from launchpad.stack.loaded import Variable
from launchpad.stack.nodes import Map
from launchpad.stack.schema import Job, Server
from launchpad.stack.scope import World, looks_secret
from launchpad.stack.words import Secret, Template

MIN_SECRET = 6
"""Shorter values are hidden where they are used, but not searched for in other texts."""


def declared(
    world: World, home: Home | None, files: Iterable[EnvRead], service: Server | Job, tree: Map
) -> tuple[Variable, ...]:
    """Later wins: the env files of the stack and of the file that has the service (over which launchpad's own
    environment wins), the service's own, its `environment`. A name without a value that is set nowhere changes nothing."""
    around = from_files(world, home).items()
    found = {name: _hidden(name, (world.environ.get(name, value),)) for name, value in around}
    for file in files:
        found.update({name: _hidden(name, (value,)) for name, value in file.values.items()})
    for name, given in service.environment.items():
        if given is None:
            piece = world.variable_at(name, _home(tree, name))
            if piece is None:
                continue
            given = (Secret(piece.text),) if piece.secret else (piece.text,)
        secret = looks_secret(name) or any(isinstance(part, Secret) for part in given)
        found[name] = _hidden(name, given) if looks_secret(name) else Variable(name, given, secret)
    return tuple(found.values())


def from_files(world: World, home: Home | None) -> dict[str, str]:
    """What is said by env files that are not a service's own, as the file that has it sees them."""
    layers = (world.env_files, *env_files_around(home), world.given)
    return {name: value for layer in layers for name, value in layer.items()}


def _home(tree: Map, name: str) -> Home | None:
    """Of the file that names this variable."""
    environment = tree.get("environment")
    return environment.entries[name].key.home if isinstance(environment, Map) else None


def _hidden(name: str, value: Template) -> Variable:
    """The variable with every stretch of its value marked as secret."""
    return Variable(name, tuple(Secret(part) if isinstance(part, str) else part for part in value), True)


def secrets(
    world: World,
    homes: Iterable[Home],
    environment: Mapping[str, Iterable[Variable]],
    services: Iterable[Server | Job],
) -> tuple[str, ...]:
    """Values that must not be shown wherever they appear, the longest first."""
    templates = [variable.value for one in environment.values() for variable in one]
    templates += [argument for service in services for argument in service.command]
    found = {str(part) for one in templates for part in one if isinstance(part, Secret)}
    found |= {value for home in homes for value in home.env_files.values()}
    found |= {*world.env_files.values(), *world.given.values()}
    return tuple(sorted((s for s in found if len(s) >= MIN_SECRET), key=lambda s: (-len(s), s)))
