"""Why a program that has ended did not get its port: launchpad's own hold was in its way, or a stranger was.

A program that binds without SO_REUSEADDR cannot come in beside a hold. Nobody but itself is told so by the kernel, so what it
printed is looked at, and believed only where nobody ever listened. Decides what is told to the core; refuses to know what
follows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from launchpad.core.model import Handover, Lease
from launchpad.hosts.local.port_hold import Hold, listens
from launchpad.hosts.local.running import Running
from launchpad.hosts.local.sockets import listeners
from launchpad.hosts.local.spool_reader import SpoolReader

IN_USE = re.compile(
    rb"(?i)address (?:is )?already in use|EADDRINUSE|errno 98\b|os error 98\b|\bport\b.{0,40}\bin use\b"
)
LOOKED_AT = 64 * 1024
"""Bytes at the end of its output: where a program says why it ends."""


def shut_out(running: Running, holds: Sequence[Hold]) -> bool:
    """Nobody has listened on a port that it was to share, and it says that the address is in use."""
    shared = [hold for hold in holds if hold.handover is Handover.SHARED and hold.held]
    waited_for = any(hold.seen_at is None and not _listened_on(hold.lease) for hold in shared)
    return waited_for and bool(IN_USE.search(_last_words(running)))


def robbed_of(holds: Sequence[Hold]) -> tuple[str, ...]:
    """Its ports on which somebody listens, now that nothing of it lives."""
    return tuple(
        hold.lease.name
        for hold in holds
        if hold.handover is not Handover.INHERIT and _listened_on(hold.lease)
    )


def _listened_on(lease: Lease) -> bool:
    return bool(listens(listeners(lease.number), lease.host, lease.number))


def _last_words(running: Running) -> bytes:
    try:
        reader = SpoolReader(running.log)
        start = max(running.log_start, reader.end() - LOOKED_AT)
        return reader.read_from(start, LOOKED_AT)[0]
    except OSError:
        return b""
