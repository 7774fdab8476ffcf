"""Stack files for tests, written in one breath."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launchpad.errors import Refused
from launchpad.plan.read import Reading, read_stack
from launchpad.stack.load import attempt
from launchpad.stack.loaded import Loaded

ENVIRON = {"HOME": "/home/user", "PATH": "/usr/bin:/bin"}


def write(folder: Path, text: str, files: Mapping[str, str] | None = None) -> Path:
    """The stack file, and others beside it."""
    for name, content in (files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content))
    file = folder / "stack.yaml"
    file.write_text(textwrap.dedent(text))
    return file


def loaded(folder: Path, text: str, files: Mapping[str, str] | None = None, **options: Any) -> Loaded:
    found = attempt(write(folder, text, files), **{"environ": ENVIRON, **options})
    if found.loaded is None or any(problem.is_error for problem in found.problems):
        raise Refused(found.problems)
    return found.loaded


def planned(folder: Path, text: str, files: Mapping[str, str] | None = None, **options: Any) -> Reading:
    return read_stack(write(folder, text, files), **{"environ": ENVIRON, **options})
