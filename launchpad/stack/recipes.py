"""`uses: NAME`: lays a recipe beneath a service, before anything is filled in or checked.

Decides what wins (the service, then `defaults`, then the recipe), where problems of it are shown (in a team's recipe at their place
there; of launchpad's own at `uses`), and what does not fit together. Knows no recipe.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from pathlib import Path

from launchpad.errors import Diagnostic, Span
from launchpad.stack import machine
from launchpad.stack.home import Home, settled
from launchpad.stack.merge import under
from launchpad.stack.nodes import Entry, Map, Node, Scalar, Seq, scalars
from launchpad.stack.problems import (
    CONFLICT,
    MISSING,
    RECIPE,
    UNUSUAL,
    VALUE,
    did_you_mean,
    error,
    shown,
)
from launchpad.stack.recipe import FOLDER, NAME, OWN, Asked, Recipe, load, names, packaged
from launchpad.stack.schema import JOB_ONLY


class Recipes:
    """Those that one stack uses. Notes every problem, and every file that was read or looked for."""

    def __init__(
        self, directory: Path, defaults: Map, problems: list[Diagnostic], inputs: list[Path]
    ) -> None:
        self._directory = directory
        self.used: dict[str, Recipe] = {}
        """By service."""
        self._problems, self._inputs = problems, inputs
        self._read: dict[tuple[str, str], Recipe | None] = {}
        self.defaults = for_all(defaults, problems)

    def anew(self, problems: list[Diagnostic], inputs: list[Path]) -> Recipes:
        """The same ones, which note there what they find from now on."""
        other = copy(self)
        other.used, other._problems, other._inputs = dict(self.used), problems, inputs
        return other

    def beneath(self, name: str, tree: Map, is_job: bool) -> Map:
        """The service with its recipe beneath it. Where that is not right, with something in its place, so that what
        else is wrong is told all the same."""
        uses = tree.entries.get("uses")
        if uses is None:
            self._problems += _without(tree)
            return tree
        recipe = self._named(uses)
        if recipe is None:
            broken = _with(tree, "uses", _text("none", uses.span)) if isinstance(uses.value, Scalar) else tree
            return under(_map(tree.span, command=_text("true", uses.span)), broken)
        self.used[name] = recipe
        self._problems += _misfits(recipe, name, tree, uses, is_job)
        base = at(recipe.service, uses.span) if recipe.packaged else recipe.service
        if isinstance(uses.value, Scalar) and uses.value.home is not None:
            base = settled(base, uses.value.home)  # what it says means what it would mean there
        ports = tree.get("ports")
        if isinstance(ports, Map) and "main" in ports.entries:
            base = base.without("port")
        if (model := _missed(tree, "model", recipe.head.model)) is not None:
            tree = _with(tree, "model", _text(model.example, uses.span))
        if "model" not in tree.entries:
            base = _without_model(base)
        return under(base, tree, () if is_job else JOB_ONLY)

    def _named(self, uses: Entry) -> Recipe | None:
        node = uses.value
        if isinstance(node, Scalar) and node.value is None:
            return None  # told as any key that has no value
        if not isinstance(node, Scalar):
            return None  # told as well
        if not NAME.match(node.text):
            message = f"`uses` is the name of a recipe, written out, and this is `{shown(node.text)}`"
            self._problems.append(error(VALUE, message, node.span, hint="`launchpad recipes` lists them"))
            return None
        key = (node.home.base if node.home is not None else "", node.text)
        if key not in self._read:
            self._read[key] = self._find(node)
        return self._read[key]

    def _find(self, node: Scalar) -> Recipe | None:
        """A file means what it means alone: its own folder, then launchpad's; what is in neither, the files around it
        may have."""
        own, *around = (folder / FOLDER for folder in self._folders(node.home))
        for folder in (own, None, *around):
            if folder is None:
                if (found := packaged(node.text)) is not None:
                    return found
                continue
            file = folder / f"{node.text}.yaml"
            if file not in self._inputs:
                self._inputs.append(file)  # also where it is not there: it may appear
            if machine.is_file(file):
                recipe, problems = load(file)
                self._problems += problems
                return recipe
        hint = did_you_mean(node.text, names(own)) or "`launchpad recipes` lists them"
        notes = [f"neither in `{own}` nor among launchpad's own"]
        message = f"there is no recipe `{shown(node.text)}`"
        self._problems.append(error(RECIPE, message, node.span, notes=notes, hint=hint))
        return None

    def _folders(self, home: Home | None) -> list[Path]:
        """Of the file that says it, and of those around it."""
        found = []
        while home is not None:
            found.append(Path(home.base) if home.base else self._directory)
            home = home.outer
        return list(dict.fromkeys((*found, self._directory)))


def for_all(defaults: Map, problems: list[Diagnostic]) -> Map:
    """`defaults` without what belongs to one service, which is told."""
    for key in OWN:
        if entry := defaults.entries.get(key):
            message = f"`{key}` belongs to one server or job, not into `defaults`"
            problems.append(error(CONFLICT, message, entry.key.span))
    return defaults.without(*OWN)


def _without(tree: Map) -> Iterator[Diagnostic]:
    for key in OWN[1:]:
        if entry := tree.entries.get(key):
            message = f"`{key}` is for a recipe, and there is no `uses`"
            hint = (
                "`uses: NAME`; `launchpad recipes` lists them"
                if key == "model"
                else "write it into `command`"
            )
            yield error(CONFLICT, message, entry.key.span, hint=hint)


def _misfits(recipe: Recipe, name: str, tree: Map, uses: Entry, is_job: bool) -> Iterator[Diagnostic]:
    """What the service asks of the recipe, and it has not."""
    is_kind = "job" if is_job else "server"
    if is_kind not in recipe.head.kinds:
        message = f"`{recipe.name}` is a recipe for a {recipe.head.kinds[0]}, and `{name}` is a {is_kind}"
        yield error(CONFLICT, message, uses.value.span, hint=f"move `{name}` to `{recipe.head.kinds[0]}s`")
    given, wanted = tree.entries.get("model"), recipe.head.model
    if given and wanted is None:
        yield error(CONFLICT, f"the recipe `{recipe.name}` takes no `model`", given.key.span)
    elif given and "command" in tree.entries and not any("self.model" in one.text for one in scalars(tree)):
        message = f"`model` is not used: the `command` of `{name}` says nothing of it"
        hint = "write `${self.model}` where the command needs it"
        yield error(UNUSUAL, message, given.key.span, hint=hint, severity="warning")
    for key, asked in (("model", recipe.head.model), ("args", recipe.head.args)):
        if (missed := _missed(tree, key, asked)) is not None:
            message = f"the recipe `{recipe.name}` needs `{key}`: {missed.means}"
            yield error(MISSING, message, uses.value.span, hint=f"`{key}: {missed.example}`")


def _missed(tree: Map, key: str, asked: Asked | None) -> Asked | None:
    """What is needed and not given. A `command` of the stack's own may do without."""
    is_needed = asked is not None and asked.required and "command" not in tree.entries
    return asked if is_needed and key not in tree.entries else None


def _without_model(base: Map) -> Map:
    """A model that is left out leaves no empty argument."""
    entry = base.entries.get("command")
    if entry is None or not isinstance(entry.value, Seq):
        return base
    node = entry.value
    items = tuple(
        item for item in node.items if not (isinstance(item, Scalar) and item.text == "${self.model}")
    )
    command = Entry(entry.key, Seq(node.span, items, node.size, node.height))
    return Map(base.span, {**base.entries, "command": command}, base.size, base.height)


def at(node: Map, span: Span) -> Map:
    """The same, as if all of it stood at one place."""
    entries = {
        name: Entry(_moved_scalar(entry.key, span), _moved(entry.value, span))
        for name, entry in node.entries.items()
    }
    return Map(span, entries, node.size, node.height)


def _moved(node: Node, span: Span) -> Node:
    if isinstance(node, Scalar):
        return _moved_scalar(node, span)
    if isinstance(node, Seq):
        return Seq(span, tuple(_moved(item, span) for item in node.items), node.size, node.height)
    return at(node, span)


def _moved_scalar(node: Scalar, span: Span) -> Scalar:
    return Scalar(span, node.text, node.value, node.style)


def _text(text: str, span: Span) -> Scalar:
    return Scalar(span, text, text, "'")


def _with(tree: Map, key: str, value: Scalar) -> Map:
    return Map(
        tree.span,
        {**tree.entries, key: Entry(_text(key, value.span), value)},
        tree.size + 2,
        tree.height,
    )


def _map(span: Span, **values: Scalar) -> Map:
    return Map(span, {key: Entry(_text(key, value.span), value) for key, value in values.items()}, 3)
