"""What `up` and `run` were asked, as one value. Refuses to know how it was written on a command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launchpad.stack.copies import Scaled


@dataclass(frozen=True, slots=True)
class UpOptions:
    """All that `launchpad up` and `launchpad run` can be told. `names` are the services asked for (none:
    all); `timeout_s` is how long the start may take; `job` and `job_args` belong to `run`, `as_json` to
    `dry_run`. `watch`: a save is applied by itself; `yes`: also one that would end most of what runs; `color`:
    colours may be used; `scaled`: numbers of copies instead of those of the file; `tty`: the console is a terminal on which things may move."""

    file: Path
    names: tuple[str, ...] = ()
    detach: bool = False
    profiles: tuple[str, ...] = ()
    set_vars: tuple[tuple[str, str], ...] = ()
    env_files: tuple[Path, ...] = ()
    timeout_s: float | None = None
    dry_run: bool = False
    as_json: bool = False
    watch: bool = True
    yes: bool = False
    job: str = ""
    job_args: tuple[str, ...] = ()
    scaled: tuple[Scaled, ...] = ()
    color: bool = False
    tty: bool = False
