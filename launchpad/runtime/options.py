"""What `up` and `run` were asked, as one value. Refuses to know how it was written on a command line."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from launchpad.runtime.store import Asked
from launchpad.stack.asked import Scaled


class UpOptions(Struct, frozen=True):
    """All that `launchpad up` and `launchpad run` can be told. `names` are the services asked for (none:
    all); `timeout_s` is how long the start may take; `job` and `job_args` belong to `run`, `as_json` to
    `dry_run`. `watch`: a save is applied by itself; `yes`: also one that would end most of what runs; `until_exit`: the
    pid of the process with which the stack ends; `scaled`: numbers of copies instead of those of the file; `color`: colours
    may be used; `tty`: the console is a terminal on which things may move; `resumes`: a supervisor has died, and nothing is
    asked for but what it was asked for."""

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
    until_exit: int | None = None
    job: str = ""
    job_args: tuple[str, ...] = ()
    scaled: tuple[Scaled, ...] = ()
    color: bool = False
    tty: bool = False
    resumes: bool = False

    def asked(self) -> Asked:
        """What has to be known to read the file once more."""
        files = tuple(os.path.abspath(file) for file in self.env_files)
        return Asked(self.profiles, self.set_vars, files, self.watch)

    @classmethod
    def as_before(cls, file: Path, asked: Asked) -> UpOptions:
        """For a supervisor that takes the place of one that has died."""
        return cls(
            file,
            detach=True,
            profiles=asked.profiles,
            set_vars=asked.set_vars,
            env_files=tuple(map(Path, asked.env_files)),
            watch=asked.watch,
            resumes=True,
        )
