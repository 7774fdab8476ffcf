"""What a change does to a service that has a process already: of its definition, or of the files that it watches.

Decides what `on_change` means. A service that runs on over a change of its definition keeps the old one whole,
ports included, so that what others are told about it stays true; the new one waits until the process has ended.
Refuses to know who changed what: files are told as a fact.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from launchpad.core import moves, replacement
from launchpad.core.identity import doomed
from launchpad.core.model import Check, Kind, OnChange, Phase, Ref, Service
from launchpad.core.state import State, Unit

WATCH_LIMIT = 10
WATCH_WINDOW_S = 60.0
"""More changes of watched files than this within this time: most likely the service writes them itself."""


def redefine(unit: Unit, new: Service) -> None:
    """The stack says `new` from now on. What shapes the process waits where `on_change` says so."""
    old = unit.service
    changed = new.digest != (unit.pending or old).digest
    waits, replaced = runs_on(unit, new), gets_replacement(unit, new)
    unit.service, unit.pending = (_shaped_as(new, old), new) if waits else (new, None)
    if changed:
        unit.failed = None
        resume(unit)
        if unit.identity is None:
            unit.deaths = []  # remembered of what it was
        unit.signal_due = waits and unit.is_alive and new.on_change is OnChange.SIGNAL
    unit.replace_due = replaced or (unit.replace_due and not changed and new.on_change is OnChange.REPLACE)


def came_as(unit: Unit, was: Service | None) -> None:
    """Its process was found, started as `was`: a change that nobody watched does what it would have done then."""
    new = unit.service
    if was is None or unit.removed or new.digest == was.digest:
        return
    if new.on_change is OnChange.RESTART or (new.on_change is OnChange.REPLACE and unit.is_job):
        return
    unit.service, unit.pending = _shaped_as(new, was), new
    unit.signal_due = new.on_change is OnChange.SIGNAL
    unit.replace_due = new.on_change is OnChange.REPLACE


def runs_on(unit: Unit, new: Service) -> bool:
    """Whether it stays what it is while the stack says `new`. A job that is done stays so under `keep`; a server
    that has ended wants a new process."""
    was = unit.identity
    if new.digest == unit.service.digest or unit.removed:
        return False
    if was is None or was.digest != unit.service.digest:
        return False  # it is being replaced already
    if new.on_change is OnChange.KEEP and unit.phase is Phase.DONE:
        return new.kind is Kind.JOB
    if new.on_change is OnChange.REPLACE:
        return replacement.is_replaceable(unit, new)
    return new.on_change is not OnChange.RESTART and unit.is_alive


def gets_replacement(unit: Unit, new: Service) -> bool:
    """Whether one is started because the stack says `new`: once for each definition."""
    if new.on_change is not OnChange.REPLACE or not runs_on(unit, new):
        return False
    is_news = new.digest != (unit.pending or unit.service).digest
    return is_news or unit.service.on_change is not OnChange.REPLACE


def _shaped_as(new: Service, old: Service) -> Service:
    """`new` in all that can change under a running process, `old` in all that shapes one. What is replaced keeps
    its checks: the new ones are those of its replacement."""
    names = [port.name for port in old.ports]
    own = new.on_change is OnChange.REPLACE
    return replace(
        new,
        kind=old.kind,
        command=old.command,
        working_dir=old.working_dir,
        digest=old.digest,
        environment=old.environment,
        inherit=old.inherit,
        host=old.host,
        ports=old.ports,
        gpus=old.gpus,
        refs=old.refs,
        secrets=old.secrets,
        prepare=old.prepare,
        primary=new.primary and old.kind is Kind.JOB,
        ready=old.ready if own or not _speaks_of(new.ready, new.name, names) else new.ready,
        alive=old.alive if own or not _speaks_of(new.alive, new.name, names) else new.alive,
    )


def _speaks_of(check: Check | None, name: str, ports: list[str]) -> bool:
    """Of no other ports of its own than these."""
    return all(ref.service != name or ref.port in ports for ref in _refs(check))


def _refs(check: Check | None) -> Iterator[Ref]:
    if check is not None:
        for one in (check.target, check.content, *check.argv, *(value for _, value in check.headers)):
            yield from (part for part in one if isinstance(part, Ref))


def take_definition(state: State, unit: Unit, now: float) -> bool:
    """A rule: nothing of it runs any more, or somebody wants that, so it is from now on what the stack says.
    Not later, or those that are told its ports would go after it."""
    was = unit.identity
    goes = not unit.wanted or was is None or was.nonce != unit.nonce
    if unit.pending is None or (not goes and (unit.is_alive or unit.phase is Phase.DONE)):
        return False
    old, unit.service, unit.pending = unit.service, unit.pending, None
    if unit.is_running:
        moves.check_again(state, unit, old, now)
    state.note(now, unit, "plan", "takes its new definition")
    state.leases_changed = True
    return True


def send_signal(state: State, unit: Unit, now: float) -> bool:
    """A rule: told once, when it is ready, so that whoever handles the signal is there."""
    if not unit.signal_due or unit.phase not in (Phase.READY, Phase.UNREADY) or doomed(state, unit):
        return False
    unit.signal_due = False
    if unit.service.on_change is OnChange.SIGNAL:
        moves.signal(state, unit, unit.service.change_signal, "main")
        state.note(now, unit, "signal", f"sent {moves.signal_name(unit.service.change_signal)}: it changed")
    return True


def watched(state: State, unit: Unit, now: float) -> None:
    """Its files were changed. What is not running reads them anyway when it starts."""
    if not _has_read_them(unit):
        return
    keeps = unit.service.on_change is OnChange.KEEP and (unit.is_alive or unit.phase is Phase.DONE)
    if keeps or unit.suspended or _too_often(state, unit, now):
        unit.files_changed = True
    elif unit.service.on_change is OnChange.SIGNAL and unit.is_alive:
        unit.signal_due = True
    elif replacement.is_replaceable(unit, unit.service):
        unit.replace_due = True
    else:
        unit.nonce += 1
    state.note(now, unit, "files", "what it watches has changed")
    state.touch(unit.name)


def _has_read_them(unit: Unit) -> bool:
    """And nothing else is under way that makes it read them again."""
    was = unit.identity
    if unit.phase is Phase.IDLE or was is None or was.nonce != unit.nonce or unit.signal_due:
        return False
    return unit.phase not in (Phase.STOPPING, Phase.KILLING) or unit.leaving is not None


def _too_often(state: State, unit: Unit, now: float) -> bool:
    unit.changes = [*(at for at in unit.changes if now - at < WATCH_WINDOW_S), now]
    if len(unit.changes) > WATCH_LIMIT:
        unit.suspended = True
        often = f"{len(unit.changes)} times within {WATCH_WINDOW_S:.0f} s"
        state.note(now, unit, "hold", f"what it watches changed {often}: no longer looked at")
    return unit.suspended


def resume(unit: Unit) -> None:
    """Somebody has taken it in hand: changes of its files have an effect again."""
    unit.suspended, unit.changes = False, []
