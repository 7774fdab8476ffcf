"""House rules that a machine can hold: sizes, docstrings, sleeps, words."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = sorted((ROOT / "launchpad").rglob("*.py"))
SCRIPTS = [p for folder in ("stacks", "tests", "benchmarks") for p in sorted((ROOT / folder).rglob("*.py"))]
MAX_FILE = 400
MAX_FUNCTION = 70
SLEEP = re.compile(r"\b(?:time|asyncio|anyio)\.sleep\(")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_file_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE
    if path.name not in ("__init__.py", "__main__.py"):
        assert ast.get_docstring(ast.parse(text)), "a module says what it decides and what it refuses to know"


@pytest.mark.parametrize("path", [*PRODUCT, *SCRIPTS], ids=name)
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_every_sleep_says_why_it_is_no_event(path: Path) -> None:
    if "pretend" in path.parts:
        return  # an actor that takes its time by design
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if SLEEP.search(line):
            assert "#" in line, f"line {number}: {line.strip()}"


def test_the_core_iterates_nothing_whose_order_varies() -> None:
    for path in sorted((ROOT / "launchpad" / "core").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            is_set = isinstance(node, ast.Set | ast.SetComp) or (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("set", "frozenset", "hash", "id")
            )
            assert not is_set, f"{path.name}:{getattr(node, 'lineno', 0)}"


MACHINE = re.compile(
    r"os\.path\.(?:is|exists|lexists|samefile|getmtime|realpath|expanduser)|os\.(?:l?stat|listdir|scandir|environ|getenv|access"
    r"|open|readlink|walk)\b|(?<![.\w])(?<!def )open\(|\.read_(?:text|bytes)\(|shutil\.which|\.(?:exists|is_file|is_dir|glob|iterdir)\("
)
DOORS = {"machine.py": 99, "files.py": 99, "load.py": 1, "recipe.py": 4, "read.py": 2}
"""Where a look is none, or the door itself: what the environment is, and launchpad's own recipes."""


@pytest.mark.parametrize("path", [p for p in PRODUCT if p.parent.name in ("stack", "plan")], ids=name)
def test_reading_looks_at_the_machine_through_its_door(path: Path) -> None:
    """Else what is kept of a reading would hold although something has changed."""
    lines = [
        line for line in path.read_text().splitlines() if MACHINE.search(line) and "machine." not in line
    ]
    assert len(lines) <= DOORS.get(path.name, 0), lines
