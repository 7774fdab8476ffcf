"""What happened between two snapshots, as lines for people.

Decides which differences are worth a line and in which words. Refuses to know where lines are shown.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from launchpad.control.api import HoldView, ServiceView, Snapshot
from launchpad.views.words import LIVE_STATES, duration, ports_text, state_word, why

QUIET, NORMAL, LOUD = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Change:
    """`at` in seconds since the epoch; `weight` is QUIET (steps on the way), NORMAL or LOUD (trouble)."""

    at: float
    name: str
    text: str
    weight: int
    word: str
    """What the state is called now."""

    def __str__(self) -> str:
        return f"{clock(self.at)} {self.name} {self.text}"


def clock(at: float) -> str:
    """Local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def changes(before: Snapshot | None, after: Snapshot, now: float) -> list[Change]:
    """In the order in which they happened."""
    old = {view.name: view for view in before.services} if before else {}
    found = []
    for view in after.services:
        text, weight = _difference(old.get(view.name), view)
        if text:
            found.append(
                Change(_at(old.get(view.name), view, now), view.name, text, weight, state_word(view))
            )
    gone = [name for name in old if name not in {view.name for view in after.services}]
    found += [Change(now, name, "is no longer part of the stack", NORMAL, "stopped") for name in gone]
    return sorted(found, key=lambda change: change.at)


def _at(old: ServiceView | None, view: ServiceView, now: float) -> float:
    """A state has its own time; another reason for the same state is news of this moment."""
    is_same = old is not None and (old.state, old.attempt) == (view.state, view.attempt)
    return now if is_same else view.since or now


def _difference(old: ServiceView | None, view: ServiceView) -> tuple[str, int]:
    word = state_word(view)
    same = old is not None and state_word(old) == word and old.attempt == view.attempt
    if word == "waiting":
        return _waiting(old, view)
    if same or (old is None and word == "stopped"):
        return "", QUIET
    if word == "stopped":
        was_there = old is not None and (old.state in LIVE_STATES or old.state == "backoff")
        return ("stopped", NORMAL) if was_there else ("", QUIET)
    return _arrival(word, view)


def _arrival(word: str, view: ServiceView) -> tuple[str, int]:
    reason = why(view)
    tail = f": {reason}" if reason else ""
    match word:
        case "starting" | "running":
            return f"{'taken over' if view.taken_over else 'started'}, pid {view.pid}", QUIET
        case "ready":
            return _ready(view), NORMAL
        case "unready":
            return f"no longer ready{tail}", LOUD
        case "done":
            return f"done{_lived(view)}", NORMAL
        case "backoff" | "failed":
            return f"{'failed' if word == 'failed' else 'ended'}{tail}", LOUD
        case "killing":
            return f"does not stop and is killed{tail}", LOUD
        case "stopping":
            return f"stopping{tail}", QUIET
        case "lost":
            return f"lost{tail}", LOUD
        case _:
            return "", QUIET


def _ready(view: ServiceView) -> str:
    took = ""
    if view.ready_at is not None and view.started_at is not None and not view.taken_over:
        took = f" ({duration(view.ready_at - view.started_at)})"
    return f"ready{took} {ports_text(view)}".rstrip()


def _lived(view: ServiceView) -> str:
    if view.started_at is None or not view.since:
        return ""
    return f" ({duration(view.since - view.started_at)})"


def _waiting(old: ServiceView | None, view: ServiceView) -> tuple[str, int]:
    holds = [hold for hold in view.holds if hold.kind in ("need", "failed-need", "ports") or _is_made(hold)]
    known = old.holds if old and state_word(old) == "waiting" else ()
    seen = {(hold.kind, hold.on) for hold in known if hold.kind != "environment" or _is_made(hold)}
    if not holds or {(hold.kind, hold.on) for hold in holds} <= seen:
        return "", QUIET
    weight = LOUD if any(hold.kind == "failed-need" for hold in holds) else QUIET
    return why(view), weight


def _is_made(hold: HoldView) -> bool:
    """An environment that is being made: news once, however far it gets."""
    return hold.kind == "environment" and ": " in hold.text
