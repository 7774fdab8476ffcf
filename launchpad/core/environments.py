"""Environments that have to be there before a service is started: asked for, waited for, and what it means if one fails.

Each distinct one is asked for once, by the first service that waits for it, while it waits for other things as well;
asked again before each start, since somebody may have taken it away. Refuses to know how one is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from launchpad.core import moves
from launchpad.core.facts import Prepared, PrepareFailed, Preparing
from launchpad.core.identity import wanted_identity
from launchpad.core.model import Environment, Outcome, Phase
from launchpad.core.state import Preparation, State, Unit
from launchpad.core.wishes import Abandon, Prepare

ASK_AGAIN_S = 30.0
"""The making may take as long as it wants; but a request that a host has lost is made anew after this."""


def prepare_missing(state: State, touched: Iterable[str], now: float) -> None:
    """Ask for what somebody waits for, give up what nobody waits for any more. Only what was `touched` can have begun, or
    ceased, to wait."""
    for key in touched:
        state.unprepared.pop(key, None)
        unit = state.find(key)
        if unit is not None and unit.service.prepare is not None and _is_to_start(unit):
            state.unprepared[key] = unit.service.prepare
    if state.open is not None and state.is_untouched:
        return  # nothing of the stack is begun before it has all its ports
    waiting = dict.fromkeys(state.unprepared.values())
    for one in [one for one in state.preparations if one not in waiting]:
        made = state.preparations.pop(one)
        if not made.done:
            state.wishes.append(Abandon(made.request))
    if state.closing is not None:
        return
    for wanted in waiting:
        if wanted not in state.preparations:
            state.request += 1
            state.preparations[wanted] = Preparation(state.request, due=now + ASK_AGAIN_S)
            state.wishes.append(Prepare(state.request, wanted))


def _is_to_start(unit: Unit) -> bool:
    return unit.wanted and unit.phase is Phase.IDLE


def ask_again(state: State, now: float) -> None:
    """For requests that were not answered for long: a host that is at it does not mind."""
    for one, made in state.preparations.items():
        if not made.done and made.due <= now:
            made.due = now + ASK_AGAIN_S
            state.wishes.append(Prepare(made.request, one))


def needed_folders(state: State) -> Iterator[str]:
    """Of everything that may be started as it is defined now, or as it waits to be."""
    for unit in state.everyone():
        for service in (unit.service, unit.pending):
            if service is not None and service.prepare is not None:
                yield service.prepare.folder


class _Asked(Struct, frozen=True):
    environment: Environment
    made: Preparation
    units: tuple[Unit, ...]


def _asked(state: State, request: int) -> _Asked | None:
    """What this is the answer to; None if nobody waits for it any more."""
    for one, made in state.preparations.items():
        if made.request == request and not made.done:
            units = (state.find(key) for key, wanted in state.unprepared.items() if wanted == one)
            return _Asked(one, made, tuple(unit for unit in units if unit is not None and _is_to_start(unit)))
    return None


def preparing(state: State, fact: Preparing, now: float) -> None:
    asked = _asked(state, fact.request)
    if asked is None:
        return
    asked.made.due = now + ASK_AGAIN_S
    if asked.made.text != fact.text:
        asked.made.text = fact.text
        for unit in asked.units:
            state.note(now, unit, "environment", fact.text)


def prepared(state: State, fact: Prepared, now: float) -> None:
    asked = _asked(state, fact.request)
    if asked is None:
        return
    asked.made.done = True
    for unit in asked.units:
        state.touch(unit.name)
        if asked.made.text:
            state.note(now, unit, "environment", "its environment is there")


def prepare_failed(state: State, fact: PrepareFailed, now: float) -> None:
    """Whoever waited for it has failed: what an installer says no to, it says no to again."""
    asked = _asked(state, fact.request)
    if asked is None:
        return
    del state.preparations[asked.environment]
    for unit in asked.units:
        unit.last = Outcome("environment", now, None, fact.text, detail=fact.detail)
        unit.identity = wanted_identity(state, unit)
        moves.enter(state, unit, Phase.FAILED, now, fact.text)
