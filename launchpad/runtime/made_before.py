"""What a supervisor that died left behind, and needs another environment now, runs on until that is made.

Decides whom that concerns, before anything of the takeover is begun. Refuses to know how an environment is made.
"""

from __future__ import annotations

import asyncio
import os
import sys

from launchpad.core.facts import Fact, Prepared, PrepareFailed, Preparing
from launchpad.core.model import Environment, OnChange, Service
from launchpad.core.wishes import Prepare
from launchpad.errors import Refused
from launchpad.paths import StackPaths
from launchpad.plan.read import Reading

RUNS_ON = "nothing was changed: what an earlier run left runs on, without a supervisor"


def made_before_takeover(paths: StackPaths, reading: Reading) -> None:
    """To be called with the stack's lock. Raises Refused, with nothing changed."""
    services = _exchanged(paths, reading)
    if not services:
        return
    wanted = tuple(dict.fromkeys(one.prepare for one in services if one.prepare is not None))
    failed = asyncio.run(_make(paths, wanted))
    if failed:
        from launchpad.runtime.environments import all_not_made

        raise Refused(all_not_made(services, failed, reading.label, RUNS_ON))


def _exchanged(paths: StackPaths, reading: Reading) -> list[Service]:
    """Those that live, and will be given another process with an environment of its own."""
    services = [one for one in reading.plan.services if one.prepare is not None]
    if not services or not paths.records.exists():
        return []
    from launchpad.hosts.local.orphans import left_of
    from launchpad.hosts.local.records import read_records

    digests = {record.service: record.identity.digest for record in read_records(paths) if not record.ended}
    changed = [one for one in services if digests.get(one.name, one.digest) != one.digest]
    lives = left_of(paths).mains if changed else {}
    ways = (OnChange.RESTART, OnChange.REPLACE)
    return [one for one in changed if one.name in lives and one.on_change in ways]


async def _make(paths: StackPaths, wanted: tuple[Environment, ...]) -> dict[Environment, PrepareFailed]:
    """Those that failed."""
    from launchpad.hosts.local.environments import Environments

    loop = asyncio.get_running_loop()
    answers: list[asyncio.Future[Prepared | PrepareFailed]] = [loop.create_future() for _ in wanted]

    def tell(fact: Fact) -> None:
        if isinstance(fact, Preparing):
            print(f"launchpad: {fact.text}", file=sys.stderr)  # noqa: T201
        elif isinstance(fact, Prepared | PrepareFailed):
            answers[fact.request].set_result(fact)

    def fault(error: BaseException) -> None:
        for answer in answers:
            if not answer.done():
                answer.set_exception(error)

    host = Environments(tell, paths, os.urandom(8).hex(), fault)
    try:
        for number, one in enumerate(wanted):
            host.prepare(Prepare(number, one))
        told = await asyncio.gather(*answers)
    finally:
        await host.close(over=False)
    return {one: fact for one, fact in zip(wanted, told, strict=True) if isinstance(fact, PrepareFailed)}
