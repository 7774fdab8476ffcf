"""Why something is not happening yet, as data. Views print it; the rules start nothing that is held."""

from __future__ import annotations

from launchpad.core.identity import doomed, has_ports, moved, stale_definition
from launchpad.core.model import RUNNING, Condition, Hold, Need, OnChange, Phase, Service
from launchpad.core.state import State, Unit


def holds(state: State, unit: Unit) -> list[Hold]:
    """What keeps a service with goal up from being started; empty means: start it."""
    found = [hold for need in unit.service.needs if (hold := _need(state, need))]
    found += _ports_to_come(state, unit)
    if not has_ports(state, unit):
        found.append(Hold("ports", unit.name, "waiting for its ports"))
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
        if other is not None and waits and all(own.name != port for own in other.service.ports):
            text = f"cannot start: `{name}` has no port `{port}` until it is restarted"
            found.append(Hold("failed-need", name, text))
    return found


def is_blocked(state: State, unit: Unit) -> bool:
    """Nothing that is under way now can bring this service up."""
    if unit.phase is not Phase.IDLE:
        return False
    needs = (hold for need in unit.service.needs if (hold := _need(state, need)))
    return any(hold.kind == "failed-need" for hold in needs) or bool(_ports_to_come(state, unit))


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
        return _stale(state, unit)
    if unit.phase is not Phase.IDLE:
        return []
    if not unit.wanted:
        return [Hold("goal", unit.name, "stopped")]
    return holds(state, unit)


def _stale(state: State, unit: Unit) -> list[Hold]:
    """It runs on as something else than it would be started as now."""
    found, why = [], []
    if unit.pending is not None:
        what = ", ".join(differences(unit.service, unit.pending))
        why.append(f"{what} changed" if what else "its definition changed")
    if unit.files_changed:
        why.append("what it watches changed")
    if unit.is_running and unit.service.on_change is OnChange.KEEP:
        away = dict.fromkeys(moved(state, unit, unit.service.refs))
        why += [f"`{name}` has another address" for name in away]
    if why:
        text = f"{'; '.join(why)} since it was started: `launchpad restart {unit.name}` takes it up"
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
        "kind": (old.kind, new.kind),
    }
    return [key for key, (before, after) in pairs.items() if before != after]
