"""A link in the state folder that leads to the control socket, for those whose runtime folder is another one."""

from __future__ import annotations

import contextlib
import os

from launchpad.paths import StackPaths


def put_up(paths: StackPaths) -> None:
    """Where the link cannot be made, the socket is found by those with the same runtime folder."""
    part = paths.socket_link.with_name(f".{paths.socket_link.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        part.unlink(missing_ok=True)
        part.symlink_to(paths.new_socket)
        part.replace(paths.socket_link)


def take_down(paths: StackPaths) -> None:
    with contextlib.suppress(OSError):
        paths.socket_link.unlink(missing_ok=True)
