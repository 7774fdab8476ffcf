"""What lives of a stack that has no supervisor: told from records, nothing is asked of it.

Decides what can be said honestly: what runs since when and where, and not whether it is ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launchpad.control.api import HoldView, ServiceView
from launchpad.core.render import address
from launchpad.hosts.local.adopt import age_s
from launchpad.hosts.local.orphans import Look
from launchpad.hosts.local.records import Record, read_records
from launchpad.paths import StackPaths

if TYPE_CHECKING:
    from launchpad.hosts.local.process import Stat

WHY = "no supervisor: `launchpad up` takes it over"


def views(paths: StackPaths, now: float, why: str = WHY) -> list[ServiceView]:
    """Of every service of which something lives, the newest attempt; `now` in seconds since the epoch. `why` nobody
    looks after it."""
    records = read_records(paths)
    owners = Look(paths, records).owners()
    found = {record.service: record for record in records if owners.get(record.attempt)}
    return [_view(paths, record, owners[record.attempt], now, why) for record in found.values()]


def _view(paths: StackPaths, record: Record, members: list[Stat], now: float, why: str) -> ServiceView:
    own = [one for one in record.identity.leases if one.service == record.service]
    ports, gpus = {one.name: one for one in own if not one.gpu}, [one for one in own if one.gpu]
    main = ports.get("main")
    handle = record.handle
    lives = handle is not None and any((one.pid, one.start) == (handle.pid, handle.start) for one in members)
    age = age_s(record, now)
    began = None if age is None else now - age
    return ServiceView(
        record.service,
        "job" if record.job else "server",
        "lost",
        "up",
        pid=handle.pid if lives and handle is not None else None,
        ports={name: one.number for name, one in ports.items()},
        url=None if main is None else f"http://{address(main.host, main.number)}",
        started_at=began,
        since=began or 0.0,
        holds=(HoldView("lost", "", why if lives else _rest(members)),),
        needs=record.needs,
        log=str(paths.log(record.service)),
        attempt=record.attempt,
        digest=record.identity.digest,
        gpus=tuple(one.gpu for one in gpus),
        gpu_numbers=tuple(one.number for one in gpus),
    )


def _rest(members: list[Stat]) -> str:
    from launchpad.hosts.local.tree import describe

    return f"its main process has ended, {describe(members)} still live"
