"""A stack whose supervisor died goes on under this one: what was found becomes facts, goals and words.

Decides what is wanted after a supervisor has died, and what is told of it. Refuses to know how processes are found
(`hosts.local.survey`) and what becomes of one whose definition has changed (the core).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from launchpad.core import render
from launchpad.core.engine import Engine
from launchpad.core.facts import Adopted, Exited, Fact, GoalsSet, Remembered
from launchpad.core.identity import fits
from launchpad.core.model import GpuNeed, Kind, Launch, PortRequest, Service
from launchpad.core.state import Role
from launchpad.hosts.local.adopt import age_s
from launchpad.hosts.local.process_end import End
from launchpad.hosts.local.records import Record
from launchpad.hosts.local.survey import Found
from launchpad.hosts.local.tree import describe
from launchpad.plan.read import Goals, Reading
from launchpad.runtime.store import Asked, Counted, Memory
from launchpad.views.words import duration


def launch_of(found: Found, service: Service | None) -> Launch:
    """How it would be started now, with the ports that it was told; of what the stack no longer has, or has with other
    ports, what its record says."""
    record = found.record
    told = {(lease.service, lease.name): lease for lease in record.identity.leases}
    if service is not None:
        try:
            return render.launch(service, told)
        except KeyError:
            pass
    own = tuple(lease for key, lease in told.items() if key[0] == record.service)
    ports = tuple(lease for lease in own if not lease.gpu)
    gpus = tuple(lease for lease in own if lease.gpu)
    how = (record.argv, (), True, record.working_dir, ports)
    return Launch(*how, stop=record.stop, job=record.job, gpus=gpus)


def was(record: Record, service: Service | None) -> Service | None:
    """What it was started as: as the stack says it now, but for what its record says otherwise."""
    if service is None or service.digest == record.identity.digest:
        return service
    told = {(lease.service, lease.name): lease for lease in record.identity.leases}
    try:
        same = render.launch(service, told).argv == record.argv
    except KeyError:
        same = False
    return replace(
        service,
        kind=Kind.JOB if record.job else Kind.SERVER,
        digest=record.identity.digest,
        command=service.command if same else tuple((word,) for word in record.argv),
        working_dir=record.working_dir,
        ports=_ports(record, service.ports, gpu=False),
        gpus=_ports(record, service.gpus, gpu=True),
        refs=tuple(key for key in told if key[0] != record.service),
    )


def _ports(record: Record, asked: Sequence[PortRequest], *, gpu: bool) -> tuple[PortRequest, ...]:
    """Requests for exactly what it holds; as the stack says it now where that fits."""
    requests = {port.name: port for port in asked}
    return tuple(
        requests[one.name]
        if one.name in requests and fits(one, requests[one.name])
        else PortRequest(
            one.service, one.name, one.number, one.number, one.host, gpu=GpuNeed(one.gpu) if gpu else None
        )
        for one in record.identity.leases
        if one.service == record.service and bool(one.gpu) == gpu
    )


def facts(
    found: Sequence[Found], services: Mapping[str, Service], memory: Memory | None, now: float
) -> list[Fact]:
    """For the core, in the same step as the plan and after it; `now` in seconds since the epoch."""
    told: list[Fact] = []
    for one in found:
        record = one.record
        assert record.handle is not None
        age = age_s(record, now)
        before = was(record, services.get(record.service))
        who = (record.service, record.attempt, record.identity, record.handle)
        told.append(Adopted(*who, age, record.stop, before, lives=one.lives or bool(one.members)))
    for name, counted in () if memory is None else memory.counted.items():
        ages = tuple(max(0.0, now - at) for at in counted.deaths)
        told.append(Remembered(name, counted.restarts, ages, counted.digest))
    ended = [one for one in found if not one.lives]
    told += [
        Exited(one.record.service, one.record.attempt, one.record.code, len(one.members)) for one in ended
    ]
    return told


def goals(
    reading: Reading, names: tuple[str, ...], memory: Memory | None, *, alone: bool, resumes: bool = False
) -> Goals:
    """What is wanted up: as if these names were asked of the supervisor that died. What it had up stays wanted (but
    not if `alone`), and what somebody had stopped stays down, unless it is named. `resumes`: nothing is asked besides
    what it had up."""
    asked = reading.goals(names)
    if memory is None or alone:
        return asked
    here = {service.name: None for service in reading.plan.services}
    known = tuple(name for name in memory.up if name in here)
    as_before = reading.goals(known) if known else ()
    up = {name for name, wanted in (*(() if resumes else asked), *as_before) if wanted}
    up -= set(held(reading, names, memory))
    return tuple((name, name in up) for name, _ in asked)


def held(reading: Reading, names: tuple[str, ...], memory: Memory | None) -> tuple[str, ...]:
    """What somebody stopped, and nobody asks for now."""
    asked = reading.each(names)
    down = {} if memory is None else dict.fromkeys(name for name in memory.held_down if name not in asked)
    return tuple(service.name for service in reading.plan.services if service.name in down)


def held_fact(names: tuple[str, ...]) -> list[Fact]:
    return [GoalsSet(tuple((name, False) for name in names))] if names else []


def remember(
    engine: Engine, now: float, wall: float, asked: Asked, reading: Reading, watched: Mapping[str, str]
) -> Memory:
    """What the next supervisor has to know should this one die; `now` is the core's time, `wall` the same moment in
    seconds since the epoch."""
    units = engine.units.items()
    return Memory(
        up=tuple([name for name, unit in units if unit.goal and not unit.removed]),
        held_down=tuple([name for name, unit in units if unit.held_down and not unit.removed]),
        counted={
            one.service: Counted(one.restarts, tuple(round(wall - age, 1) for age in one.deaths), one.digest)
            for one in engine.remembered(now)
        },
        beside=tuple(one.attempt for one in engine.state.beside.values() if one.role is Role.NEXT),
        asked=asked,
        scaled=tuple((one.name, one.count, one.instead_of or 0) for one in reading.scaled),
        watched=dict(watched) if asked.watch else {},
    )


def words(found: Sequence[Found], now: float) -> tuple[str, ...]:
    """What was found, one line each."""
    lines = []
    for one in found:
        record, age = one.record, age_s(one.record, now)
        assert record.handle is not None
        after = "" if age is None else f" after {duration(age)}"
        left = f"; still there, and ended: {describe(one.members)}" if one.members else ""
        lines.append(
            f"`{record.service}` runs on (pid {record.handle.pid})"
            if one.lives
            else f"`{record.service}` has ended{after}: {End(record.code).text}{left}"
        )
    return tuple(lines)
