"""The picture of a running stack that views are given: the core's units in the words of the control API.

Decides nothing; times become wall-clock times here.
"""

from __future__ import annotations

from collections.abc import Sequence

from launchpad.control.api import HoldView, ServiceView
from launchpad.core.engine import Engine
from launchpad.core.identity import fits
from launchpad.core.model import ALIVE, Hold, Lease, Phase
from launchpad.core.render import address
from launchpad.core.state import Unit
from launchpad.paths import StackPaths


def service_views(engine: Engine, paths: StackPaths, now: float, wall: float) -> tuple[ServiceView, ...]:
    """`wall - now` is what turns the core's time into seconds since the epoch."""
    held = engine.holds(now)
    return tuple(_view(engine, unit, held[unit.name], paths, wall - now) for unit in engine.units.values())


def _view(engine: Engine, unit: Unit, held: Sequence[Hold], paths: StackPaths, shift: float) -> ServiceView:
    ports, gpus = _ports(engine, unit), _gpus(engine, unit)
    alive = unit.phase in ALIVE and unit.handle is not None
    service = unit.service
    last = unit.last
    return ServiceView(
        name=unit.name,
        kind=service.kind.value,
        state=unit.phase.value,
        goal="up" if unit.wanted else "down",
        pid=unit.handle.pid if alive and unit.handle is not None else None,
        ports=ports,
        url=f"http://{address(service.host, ports['main'])}" if "main" in ports else None,
        since=unit.since + shift,
        started_at=unit.spawned_at + shift if unit.attempt and unit.phase is not Phase.SPAWNING else None,
        ready_at=unit.ready_at + shift if unit.ready_at is not None else None,
        restarts=unit.restarts,
        exit_code=last.code if last is not None else None,
        outcome=last.text if last is not None else "",
        seen=unit.sights[-1].text if unit.sights else "",
        holds=tuple(HoldView(h.kind, h.on, h.text) for h in held),
        needs=tuple(need.on for need in service.needs),
        console=any(sink.kind == "console" for sink in service.output),
        log=str(paths.log(unit.name)),
        attempt=unit.attempt,
        primary=service.primary,
        taken_over=unit.taken_over,
        digest=service.digest,
        gpus=tuple(lease.gpu for lease in gpus),
        gpu_numbers=tuple(lease.number for lease in gpus),
    )


def _ports(engine: Engine, unit: Unit) -> dict[str, int]:
    leases = engine.state.leases
    return {
        port.name: leases[unit.name, port.name].number
        for port in unit.service.ports
        if fits(leases.get((unit.name, port.name)), port)
    }


def _gpus(engine: Engine, unit: Unit) -> list[Lease]:
    held = (engine.state.leases.get((unit.name, port.name)) for port in unit.service.gpus)
    return [lease for lease in held if lease is not None]
