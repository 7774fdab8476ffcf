"""An edit of some services of a stack: they are looked at anew, all the rest is taken as it was.

Decides when an edit is no more than that: only what others cannot say of these services differs, and everything that
reading asked of the machine is answered as it was, but for what the file says. For any other edit, and wherever anything is
found wrong, it is for the whole stack to be read again, which says what there is to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

from msgspec import Struct
from msgspec.structs import replace

from launchpad.stack import copies
from launchpad.stack.again import alike, is_told_alike
from launchpad.stack.amend import Amended, amended
from launchpad.stack.declared import declared, secrets
from launchpad.stack.environments import Environments
from launchpad.stack.extends import KEY as EXTENDS
from launchpad.stack.files import MAX_BYTES
from launchpad.stack.load import FILE_KEYS, Loader
from launchpad.stack.loaded import Loaded, Variable
from launchpad.stack.nodes import Map
from launchpad.stack.schema import Job, Server
from launchpad.stack.scope import symbols
from launchpad.stack.words import Secret

LOOKS = (*FILE_KEYS, "uses")
"""Keys by which more is read than the stack file, or shared among services."""
SPREADS = (EXTENDS, copies.KEY)
"""Keys by which a service is more than one, or less."""


class Edited(Struct, frozen=True):
    """`names`: services that are written otherwise than before."""

    loaded: Loaded
    names: tuple[str, ...]


def edited(before: Loaded, data: bytes, environ: Mapping[str, str]) -> Edited | None:
    """The stack with `data` as its file, where only services of `before` changed in it; else None. `environ`:
    launchpad's own environment."""
    around = before.surroundings
    if before.maker is None or before.text is None or around is None or around.environ != dict(environ):
        return None
    if len(data) > MAX_BYTES:
        return None
    try:
        found = amended(before.text, before.root, data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None
    if found is None or (found.moved and before.groups):
        return None
    names = tuple(name for name in found.anew if name in before.trees)
    if len(names) < len(found.anew):
        return None
    loaded = _Edit(before, _again(before.maker, before, found), found).loaded(names)
    return None if loaded is None else Edited(loaded, names)


def _again(maker: Loader, before: Loaded, found: Amended) -> Loader:
    """The same, for another look; what it notes is noted nowhere else."""
    other = copy(maker)
    other.problems, other.inputs, other.root = [], list(before.inputs), found.root
    other.recipes = maker.recipes.anew(other.problems, other.inputs)
    other.world = replace(maker.world, problems=other.problems, symbols=dict(maker.world.symbols))
    other.environments = Environments(other.file.parent, other.path, other.environ)
    return other


class _Edit(Struct):
    before: Loaded
    maker: Loader
    found: Amended

    def loaded(self, names: tuple[str, ...]) -> Loaded | None:
        needs = {name: self._needs(name) for name in (*names, *self.found.moved) if name in self.before.trees}
        if not all(self._is_within(name, needs[name].tree) for name in names):
            return None
        services: dict[str, Server | Job] = {}
        environment: dict[str, tuple[Variable, ...]] = {}
        for name in names:
            one = self.maker.service(name, needs[name].tree, name in self.maker.jobs)
            if one is None or one.profiles != self.before.service(name).profiles:
                return None
            services[name], environment[name] = one, self._declared(name, one, needs[name].tree)
        if self.maker.problems or len(self.maker.inputs) > len(self.before.inputs):
            return None
        return self._put(needs, services, environment)

    def _needs(self, name: str) -> copies.Needs:
        """The service as it is written, with all that lies beneath it."""
        is_job, maker = name in self.maker.jobs, self.maker
        group = self.found.root.get("jobs" if is_job else "servers")
        assert isinstance(group, Map)
        node = group.entries[name].value
        assert isinstance(node, Map)
        return copies.needs(maker.layered(name, node, is_job), maker.groups, maker.counts.name)

    def _is_within(self, name: str, tree: Map) -> bool:
        """Nothing differs but the service itself."""
        old, world = self.before.trees[name], self.maker.world
        if any(key in tree.entries for key in SPREADS) or not all(_same(old, tree, key) for key in LOOKS):
            return False
        symbol, was = symbols({name: tree}, self.maker.jobs, {})[name], world.symbols[name]
        world.symbols[name] = symbol
        return is_told_alike(was, symbol)

    def _declared(self, name: str, one: Server | Job, tree: Map) -> tuple[Variable, ...]:
        maker = self.maker
        return declared(maker.world, maker.home(name), maker.env_files(name, one, tree), one, tree)

    def _put(
        self,
        needs: dict[str, copies.Needs],
        services: dict[str, Server | Job],
        environment: dict[str, tuple[Variable, ...]],
    ) -> Loaded:
        before, model = self.before, self.before.model
        servers = {name: one for name, one in services.items() if isinstance(one, Server)}
        jobs = {name: one for name, one in services.items() if isinstance(one, Job)}
        loaded = replace(
            before,
            model=model.model_copy(
                update={"servers": {**model.servers, **servers}, "jobs": {**model.jobs, **jobs}}
            ),
            environment={**before.environment, **environment},
            root=self.found.root,
            trees={**before.trees, **{name: one.tree for name, one in needs.items()}},
            needs={**before.needs, **needs},
            text=self.found.text,
            maker=self.maker,
        )
        if any(_hides(one, name) for one in (before, loaded) for name in services):
            world, usable = self.maker.world, [loaded.service(name) for name in loaded.order]
            loaded = replace(loaded, secrets=secrets(world, (), loaded.environment, usable))
        return loaded


def _same(one: Map, other: Map, key: str) -> bool:
    was, now = one.get(key), other.get(key)
    return was is now if was is None or now is None else alike(was, now)


def _hides(loaded: Loaded, name: str) -> bool:
    """It has something that must not be shown."""
    templates = [variable.value for variable in loaded.environment[name]]
    return any(
        isinstance(part, Secret) for one in (*templates, *loaded.service(name).command) for part in one
    )
