"""Why something is not happening yet, as data. Views print it; the rules start nothing that is held."""

from __future__ import annotations

from collections.abc import Iterator

from launchpad.core import gpus
from launchpad.core.identity import doomed, has_ports, moved
from launchpad.core.model import Hold, Lease, OnChange, Phase, Service
from launchpad.core.state import Role, State, Unit
from launchpad.core.stuck import Names, is_being_replaced, need_hold, ports_to_come, satisfied, stuck


def is_held(state: State, unit: Unit) -> bool:
    """Whether anything keeps a service with goal up from being started: not what."""
    waits = not all(satisfied(state, need) for need in unit.service.needs)
    return waits or next(_holds(state, unit, {}), None) is not None


def holds(state: State, now: float) -> dict[str, list[Hold]]:
    """For people: for each service every reason why it is not where its goal is."""
    known = stuck(state)
    return {unit.name: _all(state, unit, known, now) for unit in state.units.values()}


def _holds(state: State, unit: Unit, known: Names) -> Iterator[Hold]:
    yield from (hold for need in unit.service.needs if (hold := need_hold(state, need, known)))
    yield from ports_to_come(state, unit)
    if not has_ports(state, unit):
        yield gpus.hold(state, unit) or Hold("ports", unit.name, "waiting for its ports")
    yield from _environment(state, unit)
    if unit.role is Role.NEXT:
        yield from _before_it(state, unit)


def _environment(state: State, unit: Unit) -> list[Hold]:
    if unit.service.prepare is None:
        return []
    made = state.preparations.get(unit.service.prepare)
    if made is not None and made.done:
        return []
    text = made.text if made is not None else ""
    return [Hold("environment", unit.name, text or "waits for its environment")]


def _before_it(state: State, unit: Unit) -> list[Hold]:
    """A replacement is not started with what is about to change, nor while nobody knows whether its service lives."""
    found = (
        [] if state.units[unit.name].is_running else [Hold("order", unit.name, "waits for the one that runs")]
    )
    earlier = list(state.units)[: list(state.units).index(unit.name)]
    bound = [need.on for need in unit.service.needs if need.bound]
    for name in dict.fromkeys((*unit.service.uses, *bound)):
        other = state.beside.get(name)
        comes = other is not None and other.role is Role.NEXT and (other.attempt or name in earlier)
        if comes or (name in earlier and state.units[name].replace_due):
            found.append(Hold("need", name, f"waits for `{name}` to be replaced"))
    return found


def _all(state: State, unit: Unit, known: Names, now: float) -> list[Hold]:
    if unit.phase is Phase.BACKOFF and unit.deadline is not None:
        wait = max(0.0, unit.deadline - now)
        return [Hold("backoff", unit.name, f"starts again in {wait:.1f} s (restart {len(unit.deaths)})")]
    if unit.phase in (Phase.STOPPING, Phase.KILLING) and unit.held_by:
        return [Hold("tree", unit.name, f"still alive: {unit.held_by}")]
    if unit.is_alive and doomed(state, unit) and unit.is_running:
        return [Hold("order", unit.name, "stops when what depends on it is gone")]
    if unit.is_running or unit.phase in (Phase.DONE, Phase.FAILED):
        return [*_beside(state, unit, known), *_stale(state, unit), *_open(unit)]
    if unit.phase is not Phase.IDLE:
        return []
    if not unit.wanted:
        return [Hold("goal", unit.name, "stopped")]
    return list(_holds(state, unit, known))


def _beside(state: State, unit: Unit, known: Names) -> list[Hold]:
    """What its other process is about."""
    other = state.beside.get(unit.name)
    if other is None:
        return []
    numbers = [str(lease.number) for lease in _told(other)]
    facts = [f"pid {other.handle.pid}"] if other.handle is not None else []
    facts += [f"port{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"] if numbers else []
    which = f" ({', '.join(facts)})" if facts else ""
    if other.role is Role.LEAVER:
        what = f"another process of it{which} "
        what += "stops when what depends on it is gone" if other.is_running else "is being stopped"
        return [Hold("replace", unit.name, what + (f": {other.held_by}" if other.held_by else ""))]
    if not other.attempt:
        reasons = "; ".join(hold.text for hold in _holds(state, other, known))
        return [Hold("replace", unit.name, f"its replacement is held up: {reasons}")]
    ends = other.phase in (Phase.STOPPING, Phase.KILLING)
    why = other.leaving.text if ends and other.leaving else other.sights[-1].text if other.sights else ""
    what = "has failed and is being stopped" if ends else "is starting"
    return [Hold("replace", unit.name, f"its replacement{which} {what}" + (f": {why}" if why else ""))]


def _open(unit: Unit) -> list[Hold]:
    """What is given up of the promise that ready means this process is said as long as it runs."""
    checks = [check for check in (unit.service.ready, unit.service.alive) if check is not None]
    if not unit.is_running or all(check.ours for check in checks):
        return []
    return [Hold("owner", unit.name, "whoever answers on its port counts (`owner: any`)")]


def _told(unit: Unit) -> list[Lease]:
    leases = unit.identity.leases if unit.identity is not None else ()
    return [lease for lease in leases if lease.service == unit.name]


def _stale(state: State, unit: Unit) -> list[Hold]:
    """It runs on as something else than it would be started as now."""
    found, why, comes = [], [], is_being_replaced(state, unit)
    if unit.pending is not None:
        what = ", ".join(differences(unit.service, unit.pending))
        why.append(f"{what} changed" if what else "its definition changed")
    if unit.files_changed:
        why.append("what it watches changed")
    if unit.is_running and unit.service.on_change is OnChange.KEEP:
        away = dict.fromkeys(moved(state, unit, unit.service.refs))
        why += [f"`{name}` has another address" for name in away]
    if why and not comes:
        tried = unit.failed.last if unit.failed is not None else None
        text = f"{'; '.join(why)} since it was started"
        text += f", and its replacement failed ({tried.text})" if tried is not None else ""
        text += f": `launchpad restart {unit.name}` takes it up"
        found.append(Hold("stale", unit.name, text))
    if unit.suspended:
        text = f"what it watches changes all the time and is no longer looked at: `launchpad restart {unit.name}`"
        found.append(Hold("watch", unit.name, text))
    return found


def differences(old: Service, new: Service) -> list[str]:
    """What shapes a process and differs, in the words of the stack file."""
    pairs = {
        "command": (old.command, new.command),
        "environment": (old.environment, new.environment),
        "inherit_env": (old.inherit, new.inherit),
        "working_dir": (old.working_dir, new.working_dir),
        "host": (old.host, new.host),
        "ports": (old.ports, new.ports),
        "gpus": (old.gpus, new.gpus),
        "kind": (old.kind, new.kind),
    }
    return [key for key, (before, after) in pairs.items() if before != after]
