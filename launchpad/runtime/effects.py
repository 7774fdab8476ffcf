"""What another version of the file would do to the stack that runs, and whether somebody should be asked first.

Decides nothing: puts together how the stack stands, for `plan.diff` and `plan.caution`, and the answer into words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from launchpad.control.api import EffectView
from launchpad.core.model import ALIVE, Phase
from launchpad.core.state import Role
from launchpad.errors import Diagnostic
from launchpad.plan import caution
from launchpad.plan.diff import Change, Now, diff
from launchpad.plan.read import Goals, Reading
from launchpad.runtime.supervisor import Supervisor

HELD = "E612"
UNCHANGED = "nothing was changed, the stack runs as before"
ENDED = (Phase.DONE, Phase.FAILED, Phase.BACKOFF)


def effects(supervisor: Supervisor, new: Reading, goals: Goals) -> tuple[Change, ...]:
    """One for each service of what runs and of what is new."""
    state = supervisor.engine.state
    units = state.units.items()
    alive = {name: unit for name, unit in units if unit.phase in ALIVE}
    ended = {name: unit.phase for name, unit in units if unit.phase in ENDED}
    now = Now(
        running={name: unit.identity.digest for name, unit in alive.items() if unit.identity is not None},
        ended=ended.keys(),
        failed={name for name, phase in ended.items() if phase is Phase.FAILED},
        down={name for name, unit in units if unit.removed or not unit.goal},
        held_down={name for name, unit in units if unit.held_down},
        ports={key: lease.number for key, lease in state.leases.items()},
        goals=dict(goals),
        served={name for name, unit in alive.items() if unit.ready_at is not None},
        beside={u.name: u.service.digest for u in state.beside.values() if u.role is Role.NEXT},
    )
    return diff(supervisor.reading, new, now)


def views(changes: Iterable[Change]) -> tuple[EffectView, ...]:
    return tuple(EffectView(one.service, one.verb, one.because) for one in changes)


def held(
    supervisor: Supervisor, new: Reading, changes: Iterable[Change], scaled: Collection[str] = ()
) -> Diagnostic | None:
    """Says why this is not done without a confirmation; None where it may be. That there are to be fewer copies is
    plain enough by itself, and none where that was asked for (`scaled`)."""
    fewer = [
        copy
        for group, copies in supervisor.reading.groups.items()
        if group in scaled or new.groups.get(group)
        for copy in copies
    ]
    ending = [one for one in changes if one.verb == caution.ENDING and one.service not in fewer]
    if not ending:
        return None
    running = [u.service for u in supervisor.engine.units.values() if u.is_alive and u.wanted]
    why = caution.too_much(running, new.plan.services, ending)
    return waits(why) if why else None


def waits(why: str) -> Diagnostic:
    return Diagnostic(
        HELD,
        "the file was changed so much that this waits for your word",
        severity="warning",
        notes=(why,),
        consequence=UNCHANGED,
        hint="if it is meant: `launchpad reload --yes`",
    )
