"""What loading a stack file gives: the validated model, and for each part of it the place in the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from launchpad.errors import Diagnostic, Label, Span
from launchpad.stack.again import Surroundings
from launchpad.stack.asked import Scaled
from launchpad.stack.copies import Needs
from launchpad.stack.environments import Made
from launchpad.stack.nodes import Map, span_at, walk
from launchpad.stack.recipe import Recipe
from launchpad.stack.schema import Job, Server, Stack
from launchpad.stack.words import Template

if TYPE_CHECKING:
    from launchpad.stack.load import Loader


class Variable(Struct, frozen=True):
    """One environment variable that the stack declares. `secret`: its value is never shown."""

    name: str
    value: Template
    secret: bool = False


class Loaded(Struct, frozen=True):
    """A stack file (with its local file, env files and options) that was found in order."""

    name: str
    dir: Path
    file: Path
    model: Stack
    warnings: tuple[Diagnostic, ...]
    inputs: tuple[Path, ...]
    """Every file that was read, in order; also env files that were looked for and are not there."""
    secrets: tuple[str, ...]
    """Values that must not be shown wherever they appear, the longest first."""
    profiles: tuple[str, ...]
    """Those that are on."""
    environment: Mapping[str, tuple[Variable, ...]]
    """What each service's environment declares: the env files of the stack, its own, its `environment`."""
    environ: Mapping[str, str]
    """launchpad's own environment, as it was when the file was read."""
    root: Map
    trees: Mapping[str, Map]
    """Each service as it is written, defaults merged in."""
    order: tuple[str, ...]
    """All names, in the file's order; some of them have no model where the file was refused."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """Each service → the name under which the file has it: that of all copies, where it is one of several."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The copies of each service that has `replicas`."""
    needs: Mapping[str, Needs] = field(default_factory=dict)
    """Of each service, what it needs, and how it calls that."""
    jobs: tuple[str, ...] = ()
    """Names of jobs; of `order`, so also of those that have no model."""
    scaled: tuple[Scaled, ...] = ()
    """What was asked for instead of the file's own numbers of copies, and still holds."""
    env_files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """Of each service, the env files of the stack and of the file that has it; later ones win, and its own over them."""
    surroundings: Surroundings | None = None
    """What its services are filled from; None where anything was found wrong, so that it is all looked at again."""
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    """What services use, by service."""
    made: Mapping[str, Made] = field(default_factory=dict)
    """The environments that are to be made, by service."""
    text: str | None = None
    """What all of it was read from; None where no part of that can be read again by itself."""
    maker: Loader | None = None
    """What read it, and knows what a part of it means."""

    def service(self, name: str) -> Server | Job:
        """Raises KeyError."""
        return self.model.servers[name] if name in self.model.servers else self.model.jobs[name]

    def is_job(self, name: str) -> bool:
        return name in self.model.jobs

    def span(self, service: str, *path: str | int) -> Span | None:
        """Where a value stands (its key, where it is empty), or the nearest thing above it that is known.
        Without a path: the service's name. An empty service is the top level."""
        if not service:
            return span_at(self.root, path)
        if service not in self.trees:
            return None
        if path and walk(self.trees[service], path)[0] is not self.trees[service]:
            return span_at(self.trees[service], path)
        return self.name_span(service)

    def name_span(self, service: str) -> Span | None:
        """Where the service's name stands."""
        service = self.origin.get(service, service)
        for group in ("servers", "jobs"):
            node = self.root.get(group)
            if isinstance(node, Map) and service in node.entries:
                return node.entries[service].key.span
        return None

    def label(self, service: str, *path: str | int, text: str = "") -> Label | None:
        span = self.span(service, *path)
        return Label(span, text) if span else None
