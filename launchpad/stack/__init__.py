"""What is written: a stack file, read strictly, filled in, checked, with the place of every value.

Knows nothing of processes, and not who needs whom.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from launchpad.errors import Refused
from launchpad.stack.load import Attempt, attempt
from launchpad.stack.loaded import Loaded
from launchpad.stack.whole import local_file

__all__ = ["Attempt", "Loaded", "attempt", "json_schema", "load", "local_file"]


def json_schema() -> dict[str, Any]:
    """The JSON schema of stack files, as JSON data."""
    from launchpad.stack import jsonschema

    return jsonschema.json_schema()


def load(
    file: Path,
    *,
    set_vars: Mapping[str, str] = {},
    env_files: Sequence[str] = (),
    profiles: Collection[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Load a stack file. `set_vars` overrides `vars`, `env_files` are read after those of the file, `environ` is
    launchpad's own environment. Raises Refused with everything that is wrong."""
    result = attempt(file, set_vars=set_vars, env_files=env_files, profiles=profiles, environ=environ)
    if result.loaded is None or any(problem.is_error for problem in result.problems):
        raise Refused(result.problems)
    return result.loaded
