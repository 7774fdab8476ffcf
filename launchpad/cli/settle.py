"""Waiting until services are where they were asked to be.

Decides when that is so, and when it can no longer come about. Asks the supervisor; changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from launchpad.control.api import ServiceView, Snapshot
from launchpad.control.client import Client
from launchpad.views.words import state_word, why

POLL_S = 30.0
GONE = ("idle", "done", "failed")

Verdict = Callable[[ServiceView], str | None]
"""None: not yet. "": it is there. Anything else: it will not come about, and this is why."""


class TimeIsUp(TimeoutError):
    """The deadline came first; the message says what is missing."""


def is_up(view: ServiceView) -> str | None:
    """A server is ready; a job runs or is done."""
    if view.state == "ready" or state_word(view) in ("running", "done"):
        return ""
    if view.state == "failed":
        return why(view) or "it failed"
    return _cannot_start(view)


def is_gone(view: ServiceView) -> str | None:
    return "" if view.state in GONE else None


def is_done(view: ServiceView) -> str | None:
    """A job has ended well."""
    if view.state == "done":
        return ""
    if view.state == "failed":
        return why(view) or "it failed"
    if view.state == "idle" and view.goal == "down":
        return "it is stopped"
    return _cannot_start(view)


def _cannot_start(view: ServiceView) -> str | None:
    if view.state == "idle" and any(hold.kind == "failed-need" for hold in view.holds):
        return why(view)
    return None


def started_anew(before: Snapshot) -> Verdict:
    """Up, in another attempt than the one of `before`."""
    attempts = {view.name: view.attempt for view in before.services}

    def verdict(view: ServiceView) -> str | None:
        if view.attempt == attempts.get(view.name) and view.state != "idle":
            return None
        return is_up(view)

    return verdict


def settle(
    client: Client, names: Sequence[str], verdict: Verdict, timeout_s: float | None = None
) -> dict[str, str]:
    """Wait until there is a verdict about each of `names`; returns name → why not, for those that will
    not come about. A stack that is finished decides too. Raises TimeIsUp and NotRunning."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    snapshot = client.status()
    while True:
        found = {view.name: verdict(view) for view in snapshot.services if view.name in names}
        waiting = [name for name, said in found.items() if said is None]
        if snapshot.phase == "finished":
            found.update(dict.fromkeys(waiting, "the stack ended before"))
            waiting = []
        if not waiting:
            return {name: said for name, said in found.items() if said}
        left = POLL_S if deadline is None else min(POLL_S, deadline - time.monotonic())
        if left <= 0:
            raise TimeIsUp(_missing(snapshot, waiting))
        snapshot = client.status(snapshot.rev, left)


def _missing(snapshot: Snapshot, waiting: Sequence[str]) -> str:
    parts = []
    for view in snapshot.services:
        if view.name in waiting:
            reason = why(view)
            parts.append(f"`{view.name}` is {state_word(view)}" + (f" ({reason})" if reason else ""))
    return ", ".join(parts)
