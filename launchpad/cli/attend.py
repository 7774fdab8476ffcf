"""Somebody has to answer: where the supervisor of a stack has died and its services live, another one takes over.

Decides for which commands that is so: those that cannot do without (`start`, `stop`, `restart`, `scale`, `reload`, `wait`).
What only reads goes without, and `down` ends what lives by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad.cli.light import import_light
from launchpad.paths import StackPaths

if TYPE_CHECKING:
    from launchpad.control.client import Client


def attended(paths: StackPaths) -> Client:
    """Whom to ask. Whether anybody answers shows when asked: where nothing lives, nothing is taken over. Raises Refused
    where the stack file is not in order: nothing is changed then."""
    from launchpad.control.client import Client, NotRunning

    client = Client(paths.socket)
    try:
        client.status()
    except NotRunning:
        _take_over(paths)
    return client


def _take_over(paths: StackPaths) -> None:
    """As `up -d` would, but with what the dead one was started with, and nothing started besides."""
    from launchpad.hosts.local.orphans import left_of
    from launchpad.runtime import store

    memory = store.last_memory(paths)
    if memory is None or not left_of(paths).mains:
        return
    import_light("asyncio", "hashlib", "hmac")
    from launchpad.runtime.options import UpOptions
    from launchpad.runtime.up import up

    up(UpOptions.as_before(paths.file, memory.asked))
