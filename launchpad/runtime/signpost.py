"""A file in the state folder that names the control socket, for those whose runtime folder is another one."""

from __future__ import annotations

import contextlib
import os

from launchpad.paths import StackPaths


def put_up(paths: StackPaths) -> None:
    """Where it cannot be written, the socket is found by those with the same runtime folder."""
    part = paths.signpost.with_name(f".{paths.signpost.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        with open(os.open(part, flags, 0o600), "wb") as file:
            file.write(os.fsencode(paths.new_socket))
        part.replace(paths.signpost)


def take_down(paths: StackPaths) -> None:
    with contextlib.suppress(OSError):
        paths.signpost.unlink(missing_ok=True)
