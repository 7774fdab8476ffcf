"""Where the environment of a service is: one that somebody made, or one that is to be made, named after all that shapes it.

A process is always given the folder that was made for it, never the link that people see: so a newer environment
beside it changes nothing under a process that runs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from launchpad.core.model import Environment
from launchpad.paths import ENVIRONMENTS, stack_paths
from launchpad.stack import machine
from launchpad.stack.environments import Made
from launchpad.stack.loaded import Loaded


def environment_of(loaded: Loaded, name: str) -> Environment | None:
    """What has to be made before this service is started; None if nothing has."""
    made = loaded.made.get(name)
    if made is None:
        return None
    paths = stack_paths(loaded.file)
    root = paths.state_dir.parent
    shape = {**made.shape, "root": str(root)}
    whole = json.dumps(shape, sort_keys=True, separators=(",", ":"))
    key = hashlib.blake2b(whole.encode(), digest_size=8).hexdigest()
    return Environment(
        folder=str(root / ENVIRONMENTS / key),
        link=made.link or str(root / "venvs" / paths.file.name / name),
        requirements=made.lines,
        files=made.files,
        python=made.python.program,
        working_dir=made.base or str(loaded.dir),
        uv=made.uv,
    )


def venv_folder(loaded: Loaded, name: str) -> Path | None:
    """Where the virtual environment of a service is; None for a service that has none."""
    made = environment_of(loaded, name)
    if made is not None:
        return Path(made.folder)
    venv = loaded.service(name).venv
    return None if venv is None else Path(os.path.normpath(loaded.dir / machine.at_home(venv)))


def changed_files(old: Made | None, new: Made | None) -> Iterator[str]:
    """Files that both are made of, with other contents."""
    if old is not None and new is not None:
        before = dict(old.files)
        yield from (path for path, digest in new.files if before.get(path, digest) != digest)


def programs(folder: Path) -> Path:
    """Where the programs of a virtual environment are: `Scripts` where Windows made it. One that is yet to be made
    will have what this system makes."""
    names = ("Scripts", "bin") if os.name == "nt" else ("bin", "Scripts")
    return next((folder / name for name in names if machine.is_dir(folder / name)), folder / names[0])
