"""The stack file as it stands on disk right now: what was read, from which bytes, and what is wrong with it.

Decides that a reading and the bytes it is remembered by belong together. Refuses to know what runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from launchpad.errors import Diagnostic, Refused
from launchpad.paths import local_file
from launchpad.plan.read import Reading
from launchpad.runtime.contents import Contents, contents
from launchpad.runtime.options import UpOptions
from launchpad.runtime.read import read

TRIES = 5


class Draft(Struct, frozen=True):
    """`reading` is None where the file was refused, for `problems`. `contents` holds every file that was read or
    looked for."""

    reading: Reading | None
    problems: tuple[Diagnostic, ...]
    contents: Contents

    @property
    def inputs(self) -> tuple[Path, ...]:
        return tuple(self.contents)


def take(options: UpOptions, besides: Iterable[Path] = (), before: Reading | None = None) -> Draft:
    """Read the file. `besides` are files to look at as well, since it may want them again; what means the same as in
    `before` is taken from there. While files change under the reader it reads again, a few times."""
    files = _files(options, besides)
    for _ in range(TRIES):
        found = contents(files)
        reading, problems, inputs = _read(options, before)
        files.update(dict.fromkeys(inputs))
        after = contents(files)
        if all(after[file] == data for file, data in found.items()):
            break
    return Draft(reading, problems, after)


def as_read(options: UpOptions, reading: Reading) -> Contents:
    """What stood in the files when they were read into this."""
    known = reading.answers.files
    found = {file: known.get(str(file)) for file in _files(options, reading.inputs)}
    return {file: data if isinstance(data, bytes) else None for file, data in found.items()}


def _files(options: UpOptions, besides: Iterable[Path]) -> dict[Path, None]:
    own = (options.file, local_file(options.file), *map(_absolute, options.env_files))
    return dict.fromkeys((*own, *besides))


def _absolute(file: Path) -> Path:
    return Path(os.path.abspath(file))


def _read(
    options: UpOptions, before: Reading | None
) -> tuple[Reading | None, tuple[Diagnostic, ...], tuple[Path, ...]]:
    try:
        reading = read(options, before=before)
        return reading, (), reading.inputs
    except Refused as refused:
        from launchpad.stack.load import attempt

        again = attempt(
            options.file,
            set_vars=dict(options.set_vars),
            env_files=[str(file) for file in options.env_files],
            profiles=options.profiles,
            scaled=options.scaled,
        )
        return None, refused.diagnostics, again.inputs
