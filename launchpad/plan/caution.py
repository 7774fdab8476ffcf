"""What should not be done by a mere save: a file that is half-written can be a valid one.

Decides what is too much, and what looks like the beginning of a file. Refuses to know how anybody is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from launchpad.core.model import Kind, Service
from launchpad.errors import named
from launchpad.plan.diff import Change

ENDING = "stop"
DISTURBING = (ENDING, "restart", "replace", "signal", "rerun")


def too_much(running: Sequence[Service], new: Iterable[Service], changes: Iterable[Change]) -> str:
    """Why this edit wants a confirmation; "" where it does not. `running`: what lives and is wanted. What only has
    another name in the `new` stack does not count as ended."""
    known = {service.name: service for service in running}
    renamed = [service.digest for service in new if service.name not in known]
    ending = []
    for one in changes:
        if one.verb != ENDING or one.service not in known:
            continue
        if known[one.service].digest in renamed:
            renamed.remove(known[one.service].digest)
        else:
            ending.append(one.service)
    servers = [service.name for service in running if service.kind is Kind.SERVER]
    names = named(ending)
    if servers and set(servers) <= set(ending):
        return f"it would end every server: {names}"
    if 2 * len(ending) > len(running):
        return f"it would end {len(ending)} of the {len(running)} services that run: {names}"
    return ""


def disturbs(changes: Iterable[Change]) -> bool:
    """Whether anything that runs would be stopped, restarted or signalled."""
    return any(one.verb in DISTURBING for one in changes)


def ends(changes: Iterable[Change]) -> bool:
    return any(one.verb == ENDING for one in changes)


def is_cut_off(was: bytes | None, now: bytes | None) -> bool:
    """It is nothing but the beginning of what it was: a half-written file looks just like that."""
    return was is not None and now is not None and len(now) < len(was) and was.startswith(now)


def is_cut_within_a_line(was: bytes | None, now: bytes | None) -> bool:
    if was is None or now is None or not is_cut_off(was, now):
        return False
    return not now.endswith(b"\n") and was[len(now) : len(now) + 1] not in (b"\n", b"\r")
