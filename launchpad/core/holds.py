"""Why something is not happening yet, as data. Views print it; the rules start nothing that is held."""

from __future__ import annotations

from launchpad.core import gpus
from launchpad.core.identity import doomed, has_ports, moved, stale_definition
from launchpad.core.model import RUNNING, Condition, Hold, Lease, Need, OnChange, Phase, Service
from launchpad.core.state import Role, State, Unit


def holds(state: State, unit: Unit) -> list[Hold]:
    """What keeps a service with goal up from being started; empty means: start it."""
    found = [hold for need in unit.service.needs if (hold := _need(state, need))]
    found += _ports_to_come(state, unit)
    if not has_ports(state, unit):
        found.append(gpus.hold(state, unit) or Hold("ports", unit.name, "waiting for its ports"))
    found += _environment(state, unit)
    if unit.role is Role.NEXT:
        found += _before_it(state, unit)
    return found


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


def satisfied(state: State, need: Need) -> bool:
    dep = state.units.get(need.on)
    if dep is None or doomed(state, dep):
        return False
    if dep.phase is Phase.DONE:
        return not stale_definition(dep)
    if need.condition is Condition.STARTED:
        return dep.phase in RUNNING
    if need.condition is Condition.READY:
        return dep.phase is Phase.READY
    return False


def _need(state: State, need: Need) -> Hold | None:
    if satisfied(state, need):
        return None
    dep = state.units.get(need.on)
    if dep is None:
        return Hold("failed-need", need.on, f"`{need.on}` is not part of the stack")
    if dep.phase is Phase.FAILED:
        return Hold("failed-need", need.on, f"cannot start: `{need.on}` failed")
    if not dep.wanted:
        return Hold("failed-need", need.on, f"cannot start: `{need.on}` is stopped")
    if dep.phase is Phase.IDLE and is_blocked(state, dep):
        return Hold("failed-need", need.on, f"cannot start: `{need.on}` cannot")
    return Hold("need", need.on, f"waits for `{need.on}` to be {need.condition.value}")


def _ports_to_come(state: State, unit: Unit) -> list[Hold]:
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


def is_blocked(state: State, unit: Unit) -> bool:
    """Nothing that is under way now can bring this service up."""
    if unit.phase is not Phase.IDLE:
        return False
    needs = [hold for need in unit.service.needs if (hold := _need(state, need))]
    return any(hold.kind == "failed-need" for hold in (*needs, *_ports_to_come(state, unit)))


def blocked_by(state: State, unit: Unit, name: str) -> bool:
    """It cannot start because this one failed, directly or by way of others."""
    if unit.phase is not Phase.IDLE:
        return False
    for need in unit.service.needs:
        hold, dep = _need(state, need), state.units.get(need.on)
        held = hold is not None and hold.kind == "failed-need"
        if held and dep is not None and (need.on == name or blocked_by(state, dep, name)):
            return True
    return False


def all_holds(state: State, unit: Unit, now: float) -> list[Hold]:
    """For people: every reason why this service is not where its goal is."""
    if unit.phase is Phase.BACKOFF and unit.deadline is not None:
        wait = max(0.0, unit.deadline - now)
        return [Hold("backoff", unit.name, f"starts again in {wait:.1f} s (restart {len(unit.deaths)})")]
    if unit.phase in (Phase.STOPPING, Phase.KILLING) and unit.held_by:
        return [Hold("tree", unit.name, f"still alive: {unit.held_by}")]
    if unit.is_alive and doomed(state, unit) and unit.is_running:
        return [Hold("order", unit.name, "stops when what depends on it is gone")]
    if unit.is_running or unit.phase in (Phase.DONE, Phase.FAILED):
        return [*_beside(state, unit), *_stale(state, unit), *_open(unit)]
    if unit.phase is not Phase.IDLE:
        return []
    if not unit.wanted:
        return [Hold("goal", unit.name, "stopped")]
    return holds(state, unit)


def _beside(state: State, unit: Unit) -> list[Hold]:
    """What its other process is about."""
    other = state.beside.get(unit.name)
    if other is None:
        return []
    numbers = [str(lease.number) for lease in _told(other)]
    known = [f"pid {other.handle.pid}"] if other.handle is not None else []
    known += [f"port{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"] if numbers else []
    which = f" ({', '.join(known)})" if known else ""
    if other.role is Role.LEAVER:
        what = f"another process of it{which} "
        what += "stops when what depends on it is gone" if other.is_running else "is being stopped"
        return [Hold("replace", unit.name, what + (f": {other.held_by}" if other.held_by else ""))]
    if not other.attempt:
        reasons = "; ".join(hold.text for hold in holds(state, other))
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
