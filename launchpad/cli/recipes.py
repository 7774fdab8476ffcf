"""`launchpad recipes`: which recipes there are for `uses`, and what each holds."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launchpad.cli.screen import complain, print_json
from launchpad.cli.target import StackCommand, locate
from launchpad.errors import Diagnostic, ExitCode, Refused
from launchpad.paths import find_stack

if TYPE_CHECKING:
    from launchpad.stack.recipe import Asked, Recipe

Found = tuple[str, Path, "Recipe | None", list[Diagnostic]]


@click.command("recipes", cls=StackCommand)
@click.argument("names", nargs=-1, metavar="[STACK] [NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
def command(names: tuple[str, ...], as_json: bool, given: Path | None) -> int:
    """Recipes for `uses`: those that come with launchpad, and those in `recipes/` beside the stack file and beside
    the files that it includes.

    With a NAME: what it starts, its sources, its traps. `launchpad config` shows what one expands to in a stack.
    """
    found = list(_recipes(_folders(given), names))
    if as_json:
        print_json([_object(*one) for one in found])
    elif names:
        pages = ["\n".join(_page(recipe)) for _, _, recipe, _ in found if recipe]
        if pages:
            print("\n\n".join(pages))
    else:
        width = max(len(name) for name, *_ in found)
        for name, file, recipe, _ in found:
            title = recipe.head.title if recipe else "cannot be read"
            own = "" if recipe and recipe.packaged else f"  [{file}]"
            print(f"{name:<{width}}  {title}{own}")
    problems = [problem for *_, problems in found for problem in problems]
    if problems:
        complain(problems)
    return ExitCode.REFUSED if problems and names else ExitCode.OK


def _folders(given: Path | None) -> list[Path]:
    """Beside the stack file, then beside the files that it includes. What is wrong with those, `check` tells."""
    from launchpad.stack.recipe import FOLDER
    from launchpad.stack.whole import read_whole

    file = locate(given).file if given is not None else find_stack(Path.cwd())
    if file is None:
        return [Path.cwd() / FOLDER]
    bases = (home.base for home, _ in read_whole(file, os.environ).homes)
    return [folder / FOLDER for folder in dict.fromkeys((file.parent, *map(Path, filter(None, bases))))]


def _recipes(folders: Sequence[Path], names: tuple[str, ...]) -> Iterator[Found]:
    """Those named, or all. Raises Refused for a name that there is not."""
    from launchpad.stack import recipe
    from launchpad.stack.problems import RECIPE, did_you_mean

    known = recipe.listed(folders)
    there = list(dict.fromkeys(name for name, _ in known))
    unknown = [name for name in dict.fromkeys(names) if name not in there]
    if unknown:
        hint = "`launchpad recipes` lists them"
        raise Refused(
            [
                Diagnostic(RECIPE, f"there is no recipe `{name}`", hint=did_you_mean(name, there) or hint)
                for name in unknown
            ]
        )
    for wanted in dict.fromkeys(names) or there:
        for file in (file for name, file in known if name == wanted):
            own, problems = recipe.load(file, packaged=file.parent == recipe.PACKAGED)
            yield wanted, file, own, problems


def _page(recipe: Recipe) -> Iterator[str]:
    head = recipe.head
    yield f"{recipe.name}: {head.title}"
    where = (
        "comes with launchpad" if recipe.packaged else f"{recipe.file}, for the stack files beside `recipes/`"
    )
    yield f"  {where}; for a {' or a '.join(head.kinds)}"
    for key, asked in (("model", head.model), ("args", head.args)):
        if asked is not None:
            need = "" if asked.required else "  (may be left out)"
            yield f"  {key}: {asked.example}  # {asked.means}{need}"
    if recipe.way_to_have_it:
        yield f"  {recipe.way_to_have_it}  # has it installed  (may be left out)"
    yield "\nIt stands for these keys; your own, and `defaults`, win over them:\n"
    yield textwrap.indent(_service_text(recipe), "    ")
    for title, points in (("Good to know", head.notes), ("Sources", head.sources)):
        if points:
            yield f"\n{title}:"
            for point in points:
                yield _point(point)
    if head.traps:
        yield "\nTraps that are told when its output shows them:"
        for trap in head.traps:
            hint = f": {trap.hint}" if trap.hint else ""
            yield _point(f"{trap.says}{hint}")


def _point(text: str) -> str:
    return textwrap.fill(
        text,
        100,
        initial_indent="  - ",
        subsequent_indent="    ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _service_text(recipe: Recipe) -> str:
    """As it stands in its file."""
    span = recipe.service.span
    lines = recipe.file.read_text(encoding="utf-8").splitlines()[span.line - 1 : span.end_line]
    return textwrap.dedent("\n".join(lines))


def _object(name: str, file: Path, recipe: Recipe | None, problems: list[Diagnostic]) -> dict[str, Any]:
    if recipe is None:
        return {"name": name, "file": str(file), "problems": [problem.message for problem in problems]}
    head = recipe.head
    return {
        "name": name,
        "title": head.title,
        "kinds": list(head.kinds),
        "packaged": recipe.packaged,
        "file": str(file),
        "model": _asked(head.model),
        "args": _asked(head.args),
        "requirements": list(head.requirements),
        "service": _service_data(recipe),
        "sources": list(head.sources),
        "notes": list(head.notes),
        "traps": [{"match": t.match, "says": t.says, "hint": t.hint, "gpu": t.gpu} for t in head.traps],
    }


def _service_data(recipe: Recipe) -> Any:
    from launchpad.stack.nodes import plain

    return plain(recipe.service)


def _asked(asked: Asked | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    return {"required": asked.required, "example": asked.example, "means": asked.means}
