"""The control socket: HTTP over a unix socket that only this user can reach.

Decides who is let in. It is imported after the first processes run.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from pathlib import Path

from launchpad.control.answers import Answers, Control
from launchpad.control.conversation import Conversation
from launchpad.control.guests import Guests
from launchpad.control.pace import Pace

LAST_ANSWERS_S = 0.5


def bind(path: Path) -> socket.socket:
    """A listening socket at `path`, mode 0600, in a folder that only this user may enter. The caller
    holds the stack's lock, so whatever is at that path is left over from a supervisor that is gone."""
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = os.lstat(folder)
    if info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a private folder of this user")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(old)
    listener.listen(128)
    listener.setblocking(False)
    return listener


def is_own(peer: socket.socket) -> bool:
    """Whether the process at the other end runs as this user, or as root, from whom nothing is kept anyway."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid in (os.getuid(), 0)


class ControlServer:
    """A running server; `close` lets requests that are under way end first."""

    def __init__(self, server: asyncio.Server, guests: Guests) -> None:
        self._server, self._guests = server, guests

    async def close(self) -> None:
        self._server.close()
        await self._guests.all_answered(LAST_ANSWERS_S)


async def serve(control: Control, path: Path, pace: Pace | None = None) -> ControlServer:
    """Listen at `path`."""
    guests, answers = Guests(), Answers(control, pace or Pace())

    def converse() -> Conversation:
        return Conversation(answers.answer, guests, is_own)

    server = await asyncio.get_running_loop().create_unix_server(converse, sock=bind(path))
    return ControlServer(server, guests)
