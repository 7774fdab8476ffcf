"""Loads a stack file: reads it and what it names, merges, fills in, checks; collects every problem on the way.

Decides the order of these steps and where values of the environment come from. Does not look at who needs whom.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from launchpad.errors import Diagnostic, Span
from launchpad.stack import copies, machine, rules
from launchpad.stack.again import alike, surroundings
from launchpad.stack.asked import Scaled
from launchpad.stack.declared import declared, from_files, secrets
from launchpad.stack.envfile import EnvRead, read_env
from launchpad.stack.environments import Environments, Made
from launchpad.stack.home import Home, env_files_around, housed
from launchpad.stack.loaded import Loaded
from launchpad.stack.merge import under
from launchpad.stack.nodes import Entry, Map, Node, Scalar, kind
from launchpad.stack.parts import EnvFile
from launchpad.stack.problems import SET, VALUE, did_you_mean, error, listed, shown, unique
from launchpad.stack.recipes import Recipes
from launchpad.stack.schema import JOB_ONLY, Common, Defaults, Job, Server, Stack, Top
from launchpad.stack.scope import World, symbols
from launchpad.stack.template import Piece, Problem
from launchpad.stack.validate import Converter, validate
from launchpad.stack.whole import read_whole

FILE_KEYS = ("env_file", "venv", "requirements", "python")


class Attempt(Struct, frozen=True):
    """What came of reading a file. `loaded` holds the services that are in order, also where others are not;
    it is None where the file is no map at all."""

    loaded: Loaded | None
    problems: tuple[Diagnostic, ...]
    inputs: tuple[Path, ...]


def attempt(
    file: Path,
    *,
    set_vars: Mapping[str, str] | None = None,
    env_files: Sequence[str] = (),
    profiles: Collection[str] = (),
    environ: Mapping[str, str] | None = None,
    scaled: Iterable[Scaled] = (),
    before: Loaded | None = None,
) -> Attempt:
    """Load as much as can be loaded. Never raises for what the user wrote. `scaled` are numbers of copies that somebody
    asked for. `before` is an earlier reading: what means the same is taken from there."""
    path = Path(os.path.abspath(file))
    loader = Loader(
        path, machine.Variables(os.environ if environ is None else environ), tuple(scaled), before
    )
    loaded = loader.load(dict(set_vars or {}), env_files, tuple(profiles))
    return Attempt(loaded, unique(loader.problems), tuple(loader.inputs))


class Loader:
    """What is known while a stack is read; with it a part of the stack can be read again (`edit`)."""

    def __init__(
        self, file: Path, environ: machine.Variables, scaled: tuple[Scaled, ...], before: Loaded | None
    ) -> None:
        self.file, self.environ, self.scaled, self.before = file, environ, scaled, before
        self.problems: list[Diagnostic] = []
        self.inputs: list[Path] = []
        self.env_paths: dict[int, list[Path]] = {}
        """Where values were read, by the identity of what holds them."""

    def load(
        self, set_vars: dict[str, str], env_files: Sequence[str], profiles: tuple[str, ...]
    ) -> Loaded | None:
        root = self._read()
        if root is None:
            return None
        self.root = root
        groups = {key: self._group(key) for key in ("servers", "jobs", "vars", "defaults")}
        trees = self._trees(groups)
        self._world(groups, set_vars)
        self._top_env_files(env_files)
        trees = self._copies(trees)
        top = self._top()
        self.surroundings = surroundings(self.world, self.environ.plain)
        if self.before is not None and self.before.surroundings != self.surroundings:
            self.before = None
        self.environments = Environments(self.file.parent, self.path, self.environ)
        services = {
            name: None
            if self.origin[name] in self.whole.heirless
            else self.service(name, trees[name], name in self.jobs)
            for name in trees
        }
        for name, tree in self.doubles:
            self.service(name, tree, True)
        self.made, self.before = self._made(), None
        return self._loaded(top, trees, services, profiles)

    def _read(self) -> Map | None:
        """The stack as one tree."""
        self.whole = whole = read_whole(self.file, self.environ)
        self.problems += whole.problems
        self.inputs += whole.inputs
        return whole.root

    def _group(self, key: str) -> Map:
        node = self.root.get(key)
        self.problems += rules.shape(key, node)
        return node if isinstance(node, Map) else Map(self.root.span)

    def _trees(self, groups: Mapping[str, Map]) -> dict[str, Map]:
        """Every server and job with the defaults beneath it, in the file's order."""
        self.problems += rules.names(groups["servers"], groups["jobs"])
        self.jobs: set[str] = set()
        self.names: dict[str, Span] = {}
        self.homes: dict[str, Home | None] = {}
        self.doubles: list[tuple[str, Map]] = []
        trees: dict[str, Map] = {}
        self.recipes = Recipes(self.file.parent, groups["defaults"], self.problems, self.inputs)
        for group in (key for key in self.root.entries if key in ("servers", "jobs")):
            for name, entry in groups[group].entries.items():
                if name.startswith("x-"):
                    continue
                if not isinstance(entry.value, Map):
                    self.problems.append(_no_service(name, entry))
                    continue
                tree = self.layered(name, entry.value, group == "jobs")
                if name in trees:
                    self.doubles.append((name, tree))
                    continue
                trees[name] = tree
                self.names[name] = entry.key.span
                self.homes[name] = entry.key.home
                if group == "jobs":
                    self.jobs.add(name)
        if not trees and not self.problems:
            self.problems.append(rules.nothing(self.root.span))
        return trees

    def layered(self, name: str, tree: Map, is_job: bool) -> Map:
        """A service with the defaults beneath it, and its recipe beneath both. Those of an included file lie there already."""
        if name not in self.whole.foreign:
            tree = under(self.recipes.defaults, tree, () if is_job else JOB_ONLY)
        if name not in self.whole.heirless:
            tree = self.recipes.beneath(name, tree, is_job)
        return housed(tree)

    def _world(self, groups: Mapping[str, Map], set_vars: dict[str, str]) -> None:
        variables = {name: entry.value for name, entry in groups["vars"].entries.items()}
        for name in set_vars:
            if name not in variables:
                hint = did_you_mean(name, variables)
                if not hint and variables:
                    hint = f"there is {listed(variables, 'and')}"
                message = f"`--set {shown(name)}=…`: there is no variable `{shown(name)}` in `vars`"
                self.problems.append(error(SET, message, hint=hint))
        self.world = World(
            str(self.file.parent),
            self.environ,
            vars=variables,
            set_vars=set_vars,
            problems=self.problems,
        )

    def _copies(self, trees: dict[str, Map]) -> dict[str, Map]:
        """Every service with its copies in its place; from here on `${…}` may speak of them."""
        counts = copies.Counts(self.world, trees, self.scaled)
        found = copies.expand(trees, counts.of, self.names)
        self.problems += [*found.problems, *counts.problems(self.names)]
        self.groups, self.counts = found.groups, counts
        self.origin = found.origin
        self.jobs |= {copy for name in self.jobs & set(found.groups) for copy in found.groups[name]}
        self.names.update({name: self.names[was] for name, was in found.origin.items() if was in self.names})
        self.needs = {
            name: copies.needs(tree, found.groups, counts.name) for name, tree in found.trees.items()
        }
        trees = {name: one.tree for name, one in self.needs.items()}
        self.world.symbols = symbols(trees, self.jobs, found.groups)
        return trees

    def _top_env_files(self, env_files: Sequence[str]) -> None:
        self._env_files_of(self.root, self.world.env_files)
        for home, root in self.whole.homes:
            self._env_files_of(root, home.env_files)
        for name in env_files:
            one = EnvFile.model_construct(path=os.path.abspath(name), required=True)
            self._into(self.world.given, self._env_file(one, None, from_files(self.world, None)))

    def _env_files_of(self, root: Map, into: dict[str, str]) -> None:
        """Those that a file has at its top level."""
        if entry := root.entries.get("env_file"):
            only = Map(root.span, {"env_file": entry})
            model, problems = validate(Top, only, Converter(self.world, early=True))
            self.problems += problems
            for index, one in enumerate(model.env_file if model else ()):
                self._into(into, self._env_file(one, _item_span(entry, index), into))

    def _into(self, values: dict[str, str], found: EnvRead) -> None:
        values.update(found.values)
        self.env_paths.setdefault(id(values), []).append(found.path)

    def _around(self, name: str) -> tuple[Path, ...]:
        """Env files that are not the service's own; later ones win."""
        levels = (self.world.env_files, *env_files_around(self.home(name)), self.world.given)
        return tuple(path for values in levels for path in self.env_paths.get(id(values), ()))

    def _env_file(self, one: EnvFile, span: Span | None, known: Mapping[str, str]) -> EnvRead:
        path = self.path(one.path)
        found = read_env(path, self.environ, required=one.required, wanted_at=span, known=known)
        self._take(found)
        return found

    def _take(self, found: EnvRead) -> None:
        self.problems += found.problems
        if found.path not in self.inputs:  # also where it is not there: it may appear
            self.inputs.append(found.path)

    def path(self, text: str) -> Path:
        """Relative to the stack file."""
        return Path(os.path.normpath(self.file.parent / machine.at_home(text)))

    def _top(self) -> Top:
        """The keys of the top level, but for the services and what is already read."""
        self._name()
        for name, entry in self._group("vars").entries.items():
            self._var(name, entry)
        for _, root in self.whole.homes:
            self._rest(root.without("include"))
        return self._rest(self.root) or Top.model_validate({})

    def _rest(self, root: Map) -> Top | None:
        rest = root.without("servers", "jobs", "vars", "defaults", "env_file", "name")
        model, problems = validate(Top, rest, Converter(self.world))
        self.problems += problems
        return model

    def _name(self) -> None:
        self.world.name = self.file.parent.name or "stack"
        if entry := self.root.entries.get("name"):
            self.world.name = ""
            model, problems = validate(Top, Map(self.root.span, {"name": entry}), Converter(self.world))
            self.problems += problems
            self.world.name = (model and model.name) or self.file.parent.name or "stack"

    def _var(self, name: str, entry: Entry) -> None:
        node = entry.value
        if not isinstance(node, Scalar):
            message = f"the variable `{shown(name)}` is a single value, and this is {kind(node)}"
            self.problems.append(error(VALUE, message, entry.span))
            return
        if node.value is None:
            if name not in self.world.set_vars:
                hint = f"`--set {name}=…` gives it one"
                message = f"the variable `{shown(name)}` has no value"
                self.problems.append(error(VALUE, message, entry.span, hint=hint))
            return
        try:
            self.world.var(name)
        except Problem as problem:
            self.problems.append(error(problem.code, problem.message, node.span, hint=problem.hint))

    def service(self, name: str, tree: Map, is_job: bool) -> Server | Job | None:
        if (known := self._known(name, tree, is_job)) is not None:
            self.environments.add(name, tree, known.venv, known.requirements, known.python)
            return known
        self.problems += rules.service(name, is_job, tree)
        model: type[Server] | type[Job] = Job if is_job else Server
        found, problems = validate(model, tree, Converter(self.world, name), self.names.get(name))
        self.problems += problems
        if found is None:
            self._files_of(name, tree)
        else:
            self.environments.add(name, tree, found.venv, found.requirements, found.python)
        return found

    def _known(self, name: str, tree: Map, is_job: bool) -> Server | Job | None:
        """What an earlier reading made of it, if it would be the same."""
        before = self.before
        if before is None or name not in before.trees or before.is_job(name) != is_job:
            return None
        return before.service(name) if alike(before.trees[name], tree) else None

    def _files_of(self, name: str, tree: Map) -> None:
        """The files that a service names, where the rest of it is wrong: what they lack is told all the same."""
        only = {key: entry for key, entry in tree.entries.items() if key in FILE_KEYS}
        part, _ = validate(Defaults, Map(tree.span, only), Converter(replace(self.world, problems=[]), name))
        if part is not None:
            self.env_files(name, part, tree)
            self.environments.add(name, tree, part.venv, part.requirements, part.python)

    def env_files(self, name: str, service: Common, tree: Map) -> list[EnvRead]:
        entry, found = tree.entries.get("env_file"), list[EnvRead]()
        known = from_files(self.world, self.home(name))
        for index, one in enumerate(service.env_file):
            found += [self._env_file(one, _item_span(entry, index) if entry else tree.span, known)]
            known |= found[-1].values
        return found

    def _made(self) -> dict[str, Made]:
        made = self.environments.read()
        self.problems += self.environments.problems
        self.inputs += [path for path in self.environments.inputs if path not in self.inputs]
        return made

    def _loaded(
        self,
        top: Top,
        trees: dict[str, Map],
        services: Mapping[str, Server | Job | None],
        profiles: tuple[str, ...],
    ) -> Loaded:
        usable = [one for one in services.values() if one is not None]
        servers = {name: one for name, one in services.items() if isinstance(one, Server)}
        jobs = {name: one for name, one in services.items() if isinstance(one, Job)}
        variables = {name: "".join(p.text for p in self._quiet_var(name)) for name in self.world.vars}
        model = Stack.model_construct(
            name=self.world.name,
            env_file=top.env_file,
            when_supervisor_dies=top.when_supervisor_dies,
            vars=variables,
            servers=servers,
            jobs=jobs,
        )
        environment = {
            name: declared(
                self.world, self.home(name), self.env_files(name, one, trees[name]), one, trees[name]
            )
            for name, one in services.items()
            if one is not None
        }
        warnings = tuple(self._profile_warnings(profiles, usable))
        return Loaded(
            name=self.world.name,
            dir=self.file.parent,
            file=self.file,
            model=model,
            warnings=warnings,
            inputs=tuple(self.inputs),
            secrets=secrets(self.world, [home for home, _ in self.whole.homes], environment, usable),
            profiles=profiles,
            environment=environment,
            environ=self.environ,
            root=self.root,
            trees=trees,
            order=tuple(trees),
            origin=self.origin,
            groups=self.groups,
            needs=self.needs,
            jobs=tuple(name for name in trees if name in self.jobs),
            scaled=self.counts.scaled,
            env_files={name: self._around(name) for name in trees},
            surroundings=None if self.problems else self.surroundings,
            recipes={n: self.recipes.used[o] for n, o in self.origin.items() if o in self.recipes.used},
            made=self.made,
            text=self.whole.text,
            maker=self,
        )

    def home(self, name: str) -> Home | None:
        """Of the file that has this service."""
        return self.homes[self.origin[name]]

    def _quiet_var(self, name: str) -> Sequence[Piece]:
        try:
            return self.world.var(name)
        except Problem:
            return ()

    def _profile_warnings(
        self, profiles: Sequence[str], services: Iterable[Server | Job]
    ) -> Iterable[Diagnostic]:
        known = list(dict.fromkeys(profile for service in services for profile in service.profiles))
        for profile in profiles:
            if profile not in known:
                message = f"no server and no job has the profile `{shown(profile)}`"
                yield error(SET, message, hint=did_you_mean(profile, known), severity="warning")


def _no_service(name: str, entry: Entry) -> Diagnostic:
    node = entry.value
    if isinstance(node, Scalar) and node.value is None:
        return error(VALUE, f"`{shown(name)}` has nothing in it, not even a `command`", entry.key.span)
    hint = f"write `{name}: {{command: {shown(node.text, 40)}}}`" if isinstance(node, Scalar) else ""
    return error(VALUE, f"`{shown(name)}` is a map of keys, and this is {kind(node)}", node.span, hint=hint)


def _item_span(entry: Entry, index: int) -> Span:
    node: Node = entry.value
    items = getattr(node, "items", None)
    return items[index].span if items and index < len(items) else entry.span
