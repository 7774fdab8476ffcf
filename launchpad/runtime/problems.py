"""What the core knows to be wrong, told as diagnostics: in the user's nouns, with place and evidence.

Decides words only. Every number in them was measured by the core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from launchpad.core.engine import Engine
from launchpad.core.facts import Refusal
from launchpad.core.gpus import may_come
from launchpad.core.model import Check, CheckKind, Handover, Hold, Outcome, Phase, Ref, Service
from launchpad.core.moves import SHUT_OUT
from launchpad.core.render import address
from launchpad.core.state import Sight, Unit
from launchpad.core.stuck import stuck_because_of
from launchpad.core.ticks import seconds
from launchpad.errors import Diagnostic, Label, named
from launchpad.hosts.local.sinks import SinkStatus
from launchpad.runtime import environments

Place = Callable[..., Label | None]
"""(service, *path, text=…) → the place in the stack file."""
REPLACEMENT = "E506"
ENGINES = ("docker-proxy", "com.docker", "rootlessport", "slirp4netns", "pasta", "gvproxy", "conmon")
"""Programs that open ports for containers."""

Tail = Callable[[str], tuple[str, ...]]
"""The last lines that a service printed."""


def problem(
    engine: Engine, unit: Unit, place: Place, tail: Tail, refusals: dict[str, Refusal]
) -> Diagnostic | None:
    if unit.failed is not None and unit.is_alive:
        return _not_replaced(engine, unit, unit.failed, place, tail, refusals)
    if unit.phase is Phase.STARTING and (found := _misdirected(unit, place)) is not None:
        return found
    if unit.phase is not Phase.FAILED or unit.last is None:
        return _does_not_share(engine, unit, place) if unit.is_alive else None
    if unit.last.kind == "ports":
        return _no_port(engine, unit, place, refusals)
    return _how_it_ended(engine, unit, unit.last, place, tail)


def _not_made(engine: Engine, unit: Unit, last: Outcome, place: Place) -> Diagnostic | None:
    """Told once, by the first of those whose it is."""
    wanted = unit.service.prepare
    assert wanted is not None
    same = [u for u in engine.units.values() if u.service.prepare == wanted and u.phase is Phase.FAILED]
    names = [u.name for u in same if u.last is not None and u.last.kind == last.kind] or [unit.name]
    if unit.name != names[0] and unit.name in names:
        return None
    why = _consequence(engine, names, "not started")
    return environments.not_made(wanted, names, last.text, last.detail, place, why)


def _how_it_ended(engine: Engine, unit: Unit, last: Outcome, place: Place, tail: Tail) -> Diagnostic | None:
    if last.kind == "environment":
        return _not_made(engine, unit, last, place)
    tell = {"unready": _never_ready, "spawn": _not_started, "unknown": _unknown}.get(last.kind, _crashed)
    return tell(engine, unit, last, place, tail)


def _not_replaced(
    engine: Engine, unit: Unit, tried: Unit, place: Place, tail: Tail, refusals: dict[str, Refusal]
) -> Diagnostic | None:
    """The evidence is that of any failed start; what it means is not."""
    last = tried.last
    if last is None:
        return None
    if last.kind == "ports":
        refusal = refusals.get(unit.name)
        found = _no_port(engine, unit, place, refusals)
        span = f" in {refusal.low}-{refusal.high}" if refusal is not None else ""
        what = f"port for its replacement{span}"
        if refusal is not None and refusal.gpus:
            what = "GPU for its replacement"
        why = f"no free {what}"
    else:
        found, why = _how_it_ended(engine, tried, last, place, tail), last.text
    pid = f", pid {unit.handle.pid}" if unit.handle is not None else ""
    return Diagnostic(
        REPLACEMENT,
        f"`{unit.name}` was not replaced: {why}",
        severity="warning",
        labels=found.labels if found is not None else (),
        notes=found.notes if found is not None else (),
        log=found.log if found is not None else (),
        consequence=f"the old one runs on as it was{pid}; it is not tried again before the next change",
        hint=f"try it again: `launchpad restart {unit.name}`",
    )


def _labels(label: Label | None) -> tuple[Label, ...]:
    return (label,) if label is not None else ()


def _misdirected(unit: Unit, place: Place) -> Diagnostic | None:
    """A warning while there is still hope."""
    last = unit.sights[-1] if unit.sights else None
    if last is None or not last.sure:
        return None
    code, title = (
        ("E403", f"another program answers where `{unit.name}` should")
        if last.kind == "stranger"
        else ("E402", f"`{unit.name}` listens, but not where launchpad knocks")
    )
    return Diagnostic(
        code,
        title,
        severity="warning",
        labels=_labels(place(unit.name, "ready") or place(unit.name)),
        notes=(last.text,),
        consequence=f"`{unit.name}` is not ready; what needs it waits",
        hint=_address_hint(unit) if code == "E402" else _stranger_hint(last),
    )


def _does_not_share(engine: Engine, unit: Unit, place: Place) -> Diagnostic | None:
    """A warning for as long as the stack file does not say so."""
    shared = [port for port in unit.service.ports if port.handover is Handover.SHARED]
    if unit.name not in engine.state.let_go or not shared:
        return None
    return Diagnostic(
        "E303",
        f"`{unit.name}` cannot share its port with launchpad, which lets go of it just before each start",
        severity="warning",
        labels=_labels(place(unit.name, "port") or place(unit.name, "ports") or place(unit.name)),
        notes=(
            "its program binds without SO_REUSEADDR: it said that the address was in use, and nobody had it",
        ),
        consequence="its first start was for nothing, and for a moment of each start the port is anybody's",
        hint="say so in the stack file: `handover: release`",
    )


def _no_port(engine: Engine, unit: Unit, place: Place, refusals: dict[str, Refusal]) -> Diagnostic | None:
    refusal = refusals.get(unit.name)
    if refusal is None:
        return None  # only others of its batch were refused: they say why
    untouched = engine.state.is_untouched
    what = "GPU" if refusal.gpus else "port"
    rest = f"`{unit.name}` was not started, no {what} was kept for it; the rest of the stack is as it was"
    services = {one.name: one.service for one in engine.units.values()}
    why = f"nothing was started, no {what} was kept" if untouched else rest
    return refused(refusal, place, why, services)


def refused(refusal: Refusal, place: Place, consequence: str, services: Mapping[str, Service]) -> Diagnostic:
    """What could not be had, whoever asked for it, where the stack is to be these."""
    if refusal.gpus:
        return no_gpu(refusal, place, consequence, services)
    return no_port(refusal, place, consequence)


def no_gpu(refusal: Refusal, place: Place, consequence: str, services: Mapping[str, Service]) -> Diagnostic:
    whom = f"{'the replacement of ' if refusal.beside else ''}`{refusal.service}`"
    labels = _labels(place(refusal.service, "gpus"))
    if refusal.unknown:
        return Diagnostic(
            "E321",
            f"{whom} asks for GPUs, and nobody can say which there are",
            labels=labels,
            notes=refusal.notes,
            consequence=consequence,
            hint="say it: `export LAUNCHPAD_GPUS=2x80GB`, or install the driver",
        )
    few = "and not enough are free"
    if refusal.written.startswith("ids"):
        few = "which is not free" if refusal.gpus == 1 else "which are not all free"
    few = "which this machine does not have" if refusal.never else few
    wait = f"`gpus: {{{refusal.written or f'count: {refusal.gpus}'}, wait: true}}`"
    return Diagnostic(
        "E320",
        f"{whom} asks for {refusal.what}, {few}",
        labels=labels,
        notes=refusal.notes,
        consequence=consequence,
        hint=f"to start once they are free: {wait}" if may_come(refusal, services) else "",
    )


def no_port(refusal: Refusal, place: Place, consequence: str) -> Diagnostic:
    """One port that could not be had, whoever asked for it."""
    key = ("port",) if refusal.name == "main" else ("ports", refusal.name)
    whom = f"{'the replacement of ' if refusal.beside else ''}`{refusal.service}`"
    return Diagnostic(
        "E301",
        f"port {refusal.low} for {whom} is not free"
        if refusal.low == refusal.high
        else f"no free port for {whom} in {refusal.low}-{refusal.high}",
        labels=_labels(place(refusal.service, *key)),
        notes=refusal.notes,
        consequence=consequence,
        hint=f"widen the range: `{refusal.low}-{min(65535, refusal.low + 99)}`",
    )


def _never_ready(engine: Engine, unit: Unit, last: Outcome, place: Place, tail: Tail) -> Diagnostic:
    sight = unit.sights[-1] if unit.sights else None
    elsewhere = sight is not None and sight.kind == "elsewhere"
    stranger = sight is not None and sight.kind == "stranger"
    return Diagnostic(
        "E402" if elsewhere else "E403" if stranger else "E401",
        f"`{unit.name}` listens, but not where launchpad knocks"
        if elsewhere
        else f"`{unit.name}` did not become ready: {last.text}",
        labels=_labels(place(unit.name, "ready") or place(unit.name)),
        notes=_seen(unit, last),
        log=tail(unit.name),
        consequence=_consequence(engine, [unit.name], "was waiting for it and was not started"),
        hint=_address_hint(unit) if elsewhere else _stranger_hint(sight) or _ready_hint(unit),
    )


def _seen(unit: Unit, last: Outcome) -> tuple[str, ...]:
    start = last.at - last.after_s
    rows = [f"{0.0:7.1f} s  started"]
    for sight in unit.sights:
        times = f"  x {sight.count}" if sight.count > 1 else ""
        rows.append(f"{max(0.0, sight.first_at - start):7.1f} s  {sight.text}{times}")
    if not unit.sights and (awaited := _awaited(unit.service.ready)):
        rows.append(f"{last.after_s:7.1f} s  {awaited}")
    known = unit.sights and unit.sights[-1].text == last.text
    rows.append(f"{last.after_s:7.1f} s  given up" + ("" if known else f": {last.text}"))
    return tuple(rows)


def _awaited(check: Check | None) -> str:
    """What has not come: of a check that is waited for, nothing is seen until it passes."""
    if check is not None and check.kind is CheckKind.LOG:
        return f"no line of its output matches `{''.join(p for p in check.target if isinstance(p, str))}`"
    if check is not None and check.kind is CheckKind.NOTIFY:
        return "no READY=1 has come by NOTIFY_SOCKET"
    return ""


def _address_hint(unit: Unit) -> str:
    told = any(
        isinstance(part, Ref) and part.form == "port" for text in unit.service.command for part in text
    )
    how = "" if told else ", for instance with `--host ${self.host} --port ${self.port}`"
    leases = unit.identity.leases if unit.identity is not None else ()
    ports = [lease for lease in leases if (lease.service, lease.name) == (unit.name, "main")]
    where = address(unit.service.host, ports[0].number) if ports else unit.service.host
    return f"let it listen on {where}{how}"


def _stranger_hint(sight: Sight | None) -> str:
    """A container's port is opened by its engine, which is nobody's child here."""
    text = sight.text if sight is not None and sight.kind == "stranger" else ""
    if not any(f"`{name}" in text or f"/{name}" in text for name in ENGINES):
        return ""
    return "if it is the port of a container that this service runs: `owner: any` beside `http` or `tcp` in `ready`"


def _ready_hint(unit: Unit) -> str:
    check = unit.service.ready
    if check is None or check.timeout_s is None or not unit.sights:
        return ""
    return f"if it was still loading: `timeout: {seconds(check.timeout_s * 2).replace(' min', 'm').replace(' s', 's')}`"


def _not_started(engine: Engine, unit: Unit, last: Outcome, place: Place, tail: Tail) -> Diagnostic:
    return Diagnostic(
        "E502",
        f"could not start `{unit.name}`: {last.text}",
        labels=_labels(place(unit.name, "command")),
        notes=(last.detail,) if last.detail else (),
        log=tail(unit.name),
        consequence=_consequence(engine, [unit.name], "not started"),
    )


def _crashed(engine: Engine, unit: Unit, last: Outcome, place: Place, tail: Tail) -> Diagnostic:
    sick = last.kind == "unhealthy"
    what = (
        "was no longer healthy"
        if sick
        else "failed"
        if unit.is_job
        else "ended"
        if last.code == 0
        else "crashed"
    )
    before = [o.text for o in unit.history[:-1] if o.kind not in ("stopped", "ports", SHUT_OUT)]
    notes = [last.text + (f" (attempt {len(unit.deaths)})" if len(unit.deaths) > 1 else "")]
    seen = unit.sights[-1] if unit.sights else None
    if seen is not None and seen.kind in ("stranger", "elsewhere"):
        notes.append(f"while it started: {seen.text}")
    restart = unit.service.restart
    given_up = bool(before) and restart.policy != "never"
    if before:
        limit = f"; `max_restarts` is {restart.max_restarts}" if given_up else ""
        notes.append(f"before: {', '.join(before[-4:])}{limit}")
    return Diagnostic(
        "E503" if sick else "E501",
        f"`{unit.name}` {what}" + (" and was given up" if given_up else ""),
        labels=_labels(place(unit.name)),
        notes=tuple(notes),
        log=tail(unit.name),
        consequence=_consequence(engine, [unit.name], "not started"),
    )


def _unknown(engine: Engine, unit: Unit, last: Outcome, place: Place, tail: Tail) -> Diagnostic:
    return Diagnostic(
        "E504",
        f"it is not known how `{unit.name}` ended",
        labels=_labels(place(unit.name)),
        notes=("it ended while no supervisor lived, and nobody could write down how",),
        log=tail(unit.name),
        consequence=_consequence(engine, [unit.name], "not started"),
        hint=f"`launchpad start {unit.name}` runs it again" if unit.is_job else "",
    )


def _consequence(engine: Engine, names: Sequence[str], verb: str) -> str:
    """What did not happen because of these, and what goes on."""
    behind = {other for name in names for other in stuck_because_of(engine.state, name)}
    waiting = [u.name for u in engine.units.values() if _was_wanted(u) and u.name in behind]
    running = [u.name for u in engine.units.values() if u.is_running and u.wanted]
    parts = []
    if waiting:
        names = named(waiting)
        parts.append(f"not started: {names}" if verb == "not started" else f"{names} {verb}")
    if running:
        parts.append(f"still running: {named(running)}")
    return "; ".join(parts)


def not_up(engine: Engine, timeout_s: float, now: float) -> Diagnostic:
    """`up --timeout`, and what is missing."""
    missing = [u for u in engine.units.values() if u.wanted and u.phase not in (Phase.READY, Phase.DONE)]
    holds = engine.holds(now)
    return Diagnostic(
        "E404",
        f"the stack was not up within {timeout_s:g} s",
        notes=tuple(f"`{unit.name}` {_where_it_stands(unit, holds[unit.name])}" for unit in missing),
        consequence="everything was stopped",
    )


def _where_it_stands(unit: Unit, holds: Sequence[Hold]) -> str:
    held = "; ".join(hold.text for hold in holds)
    if unit.phase is Phase.IDLE and held:
        return held
    seen = f": {unit.sights[-1].text}" if unit.phase is Phase.STARTING and unit.sights else ""
    return f"is {unit.phase.value}{seen}"


def _was_wanted(unit: Unit) -> bool:
    """A primary job that cannot start ends the stack, and then nothing is wanted any more."""
    return unit.wanted or (unit.service.primary and not unit.attempt)


def output_problems(sinks: Iterable[SinkStatus], lost: str) -> list[Diagnostic]:
    """Sinks that cannot be written; `lost`: why even the run's own logs cannot."""
    found = [Diagnostic("E505", "output is lost", severity="warning", notes=(lost,))] if lost else []
    for sink in sinks:
        if sink.problem:
            what = f"the output of `{sink.service}` cannot be written to `{sink.path}`"
            kept = f"nothing is lost: `launchpad logs {sink.service}` has it, and it is tried again"
            found.append(
                Diagnostic("E505", what, severity="warning", notes=(sink.problem,), consequence=kept)
            )
    return found
