"""Which services nothing that is under way can bring up, and because of whom.

One walk along the dependents answers it for all of them: a stack in layers has more ways through it than can be gone one by one.
Decides nothing about what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from launchpad.core.identity import doomed, stale_definition
from launchpad.core.model import RUNNING, Condition, Hold, Need, Phase
from launchpad.core.state import Role, State, Unit

Names = Mapping[str, None]
"""Ordered, unlike a set."""


def stuck(state: State) -> Names:
    """Every idle service that cannot be started, whatever comes of what is under way now."""
    is_idle = Phase.IDLE
    idle = [unit for unit in state.units.values() if unit.phase is is_idle]
    return _spread(state, (unit.name for unit in idle if _has_no_way(state, unit)))


def is_stuck(state: State, unit: Unit) -> bool:
    """Whether this one is: one walk along what it waits for, which costs nothing for the others."""
    return unit.phase is Phase.IDLE and any(_has_no_way(state, one) for one in _waits_for(state, unit))


def _waits_for(state: State, unit: Unit) -> Iterator[Unit]:
    """It, and what has not been started and it waits for, also by way of others; each once."""
    around, seen = [unit], {unit.name: None}
    for near in around:
        yield near
        for need in near.service.needs:
            on = state.units.get(need.on)
            if on is not None and on.name not in seen and on.wanted and on.phase is Phase.IDLE:
                seen[on.name] = None
                around.append(on)


def stuck_because_of(state: State, name: str) -> Names:
    """Of those, the ones that cannot because of this service, directly or by way of others."""
    known = stuck(state)
    near = (state.units[other] for other in state.dependents.get(name, ()))
    first = (unit.name for unit in near if unit.phase is Phase.IDLE and _fails(state, unit, name, known))
    return _spread(state, first)


def _spread(state: State, first: Iterable[str]) -> Names:
    """These, and the idle ones that need them."""
    found = dict.fromkeys(first)
    queue = list(found)
    for name in queue:
        for other in state.dependents.get(name, ()):
            if other not in found and state.units[other].phase is Phase.IDLE:
                found[other] = None
                queue.append(other)
    return found


def _has_no_way(state: State, unit: Unit) -> bool:
    """For a reason of its own, or one of what it needs directly."""
    needs = (hold for need in unit.service.needs if (hold := need_hold(state, need, {})))
    return any(hold.kind == "failed-need" for hold in (*needs, *ports_to_come(state, unit)))


def _fails(state: State, unit: Unit, name: str, known: Names) -> bool:
    holds = (need_hold(state, need, known) for need in unit.service.needs if need.on == name)
    return any(hold is not None and hold.kind == "failed-need" for hold in holds)


def satisfied(state: State, need: Need) -> bool:
    dep = state.units.get(need.on)
    if dep is None:
        return False
    if dep.phase is Phase.DONE:
        return not stale_definition(dep)
    phases = {Condition.STARTED: RUNNING, Condition.READY: (Phase.READY,)}.get(need.condition, ())
    return dep.phase in phases and not doomed(state, dep)


def need_hold(state: State, need: Need, known: Names) -> Hold | None:
    """Why what is needed is not there; `known` are those that are stuck."""
    if satisfied(state, need):
        return None
    dep = state.units.get(need.on)
    if dep is None:
        return Hold("failed-need", need.on, f"`{need.on}` is not part of the stack")
    if dep.phase is Phase.FAILED:
        return Hold("failed-need", need.on, f"cannot start: `{need.on}` failed")
    if not dep.wanted:
        return Hold("failed-need", need.on, f"cannot start: `{need.on}` is stopped")
    if need.on in known:
        return Hold("failed-need", need.on, f"cannot start: `{need.on}` cannot")
    return Hold("need", need.on, f"waits for `{need.on}` to be {need.condition.value}")


def ports_to_come(state: State, unit: Unit) -> list[Hold]:
    """Ports that another service has only in the definition that it has not taken yet."""
    found = []
    for name, port in unit.service.refs:
        other = state.units.get(name)
        waits = other is not None and other.pending is not None
        if other is None or not waits or any(own.name == port for own in other.service.ports):
            continue
        if is_being_replaced(state, other):
            found.append(
                Hold("need", name, f"waits for `{name}` to be replaced: it has no port `{port}` yet")
            )
        else:
            text = f"cannot start: `{name}` has no port `{port}` until it is restarted"
            found.append(Hold("failed-need", name, text))
    return found


def is_being_replaced(state: State, unit: Unit) -> bool:
    """A replacement of it is to come, or on its way up."""
    beside = state.beside.get(unit.name)
    return unit.replace_due or (beside is not None and beside.role is Role.NEXT)
