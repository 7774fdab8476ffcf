"""The numbered rules: what is missing between what is wanted and what is seen.

Each rule looks at one unit and returns whether it did something. They are asked in order, again and
again, until nobody has anything to do; so it does not matter which fact made a unit worth asking.

    1  make a replacement where one is due; call it off, or let it take over
    2  take the definition that waited for the old process to end
    3  replace or stop what has to go, dependents first
    4  forget how something ended when its definition changed or it was asked for again
    5  let go of ports that no longer fit, and of the GPUs of what rests
    6  send the signal that says that something changed
    7  forget what was removed
    8  end the stack when its primary job has ended or cannot start
    9  lease missing ports: the whole batch or none
   10  ask for environments that are missing
   11  start what is wanted and not held

Of a second process, 11 is asked while it is to replace, 3 and 5 while it leaves; rule 1 of the first sees to the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from launchpad.core import environments, gpus, moves, ports
from launchpad.core.changes import send_signal, take_definition
from launchpad.core.holds import is_held
from launchpad.core.identity import doomed, stale_definition, uses
from launchpad.core.model import Phase
from launchpad.core.replacement import look_beside
from launchpad.core.state import Role, State, Unit
from launchpad.core.stuck import is_stuck
from launchpad.core.wishes import Forget


def settle(state: State, now: float) -> None:
    """Ask the rules until nothing changes. Nothing is started before it is known whether the stack ends. A step in
    which nothing moved, as most are that send probes, costs the same however large the stack is."""
    if not state.dirty and not state.leases_changed:
        return
    asked: dict[str, None] = {}
    while True:
        _ask(state, now, asked)
        if close_if_over(state, now):
            continue
        ports.lease_missing(state, asked, now)
        environments.prepare_missing(state, asked, now)
        found = (unit for key in list(asked) if (unit := state.find(key)) is not None)
        started = [start_what_is_wanted(state, unit, now) for unit in found]
        asked.clear()
        if not any(started):
            return


def _ask(state: State, now: float, asked: dict[str, None]) -> None:
    """All rules but the one that starts."""
    for _ in _rounds(state):
        keys = _define(state, now)
        for key in keys:
            asked[key] = None
            _ask_unit(state, key, RULES, now)
        if not keys:
            return


def _define(state: State, now: float) -> dict[str, None]:
    """What each is to be, and which ports are whose: that decides who has to go before whom."""
    keys: dict[str, None] = {}
    for _ in _rounds(state):
        if not state.dirty and not state.leases_changed:
            break
        if state.leases_changed:
            ports.sort_out(state)
        moved, state.dirty = state.dirty, {}
        for key in moved:
            keys[key] = None
            _ask_unit(state, key, DEFINING, now)
    return keys


def _rounds(state: State) -> Iterator[None]:
    """More than are ever needed: the bound only catches a fault of the rules themselves."""
    yield from (None for _ in range(1000 + 100 * len(state.units)))
    raise AssertionError(f"the rules do not settle: {list(state.dirty)}")


def _ask_unit(state: State, key: str, rules: Rules, now: float) -> None:
    unit = state.find(key)
    if unit is None:
        return
    for rule in rules[unit.role]:
        if rule(state, unit, now):
            state.touch(unit.name)
            return


def stop_what_has_to_go(state: State, unit: Unit, now: float) -> bool:
    if not (unit.is_running or unit.phase is Phase.SPAWNING) or not doomed(state, unit):
        return False
    dependents = (state.units[name] for name in state.dependents.get(unit.name, ()))
    if any(other.is_alive and doomed(state, other) for other in dependents):
        return False
    why = "stopping" if not unit.wanted else "stopping, to be replaced"
    moves.stop(state, unit, now, why, unit.leaving)
    return True


def forget_the_end(state: State, unit: Unit, now: float) -> bool:
    ended = unit.phase in (Phase.DONE, Phase.FAILED, Phase.BACKOFF)
    if not ended or not unit.wanted or not stale_definition(unit):
        return False
    again = unit.identity is not None and unit.identity.digest == unit.service.digest
    moves.reset(state, unit, now, "asked for again" if again else "its definition changed")
    return True


def release_unfit(state: State, unit: Unit, now: float) -> bool:
    free = [lease for lease in unit.old_leases if not uses(unit, lease)]
    if not free:
        return False
    gpus.let_go(state, free)
    unit.old_leases = [lease for lease in unit.old_leases if lease not in free]
    return True


def start_what_is_wanted(state: State, unit: Unit, now: float) -> bool:
    if unit.phase is not Phase.IDLE or not unit.wanted or state.closing is not None:
        return False
    if state.open is not None and state.is_untouched:
        return False  # nothing of the stack is started before it has all its ports
    if is_held(state, unit):
        return False
    moves.start(state, unit, now)
    return True


def forget_removed(state: State, unit: Unit, now: float) -> bool:
    if not unit.removed or unit.is_alive or unit.old_leases or unit.name in state.beside:
        return False
    state.forget(unit.name)
    state.wishes.append(Forget(unit.name))
    return False


Rule = Callable[[State, Unit, float], bool]
Rules = dict[Role, tuple[Rule, ...]]

DEFINING: Rules = {Role.SERVICE: (look_beside, take_definition), Role.NEXT: (), Role.LEAVER: ()}
RULES: Rules = {
    Role.SERVICE: (
        stop_what_has_to_go,
        forget_the_end,
        release_unfit,
        gpus.give_on,
        send_signal,
        forget_removed,
    ),
    Role.NEXT: (),
    Role.LEAVER: (stop_what_has_to_go, release_unfit),
}


def close_if_over(state: State, now: float) -> bool:
    """A `primary` job that has ended, or can no longer start, ends the stack. What somebody holds down by
    hand, or can restart to make it what the stack says, may come back: that is no end."""
    if state.closing is not None:
        return False
    for unit in (state.units[name] for name in state.primaries):
        if not unit.service.primary or not unit.wanted:
            continue
        over = unit.phase in (Phase.DONE, Phase.FAILED)
        if over or (is_stuck(state, unit) and not _may_come(state)):
            why = f"`{unit.name}` {'ended' if over else 'cannot start'}, the stack ends"
            moves.close(state, now, exit_code(unit) if over else 1, why)
            return True
    return False


def _may_come(state: State) -> bool:
    return any(unit.held_down or unit.pending is not None for unit in state.units.values())


def exit_code(unit: Unit) -> int:
    """The job's own code, as a shell would give it."""
    code = unit.last.code if unit.last is not None else None
    if unit.phase is Phase.DONE:
        return 0
    if code is None:
        return 1
    return 128 - code if code < 0 else code or 1
