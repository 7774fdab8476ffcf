"""What the runtime leases for a plan is held when the plan is applied, whatever the core let go of meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from launchpad.core.engine import Engine
from launchpad.core.facts import PortsLeased
from launchpad.core.model import Lease, PortRequest, Sink
from launchpad.core.wishes import HostWish, LeasePorts
from launchpad.runtime.loop import Driver

HOST = "127.0.0.1"


class Forgetful:
    """A host that lets go of the first port in the moment in which it is granted."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.granted: list[Lease] = []

    def submit(self, wishes: Sequence[HostWish]) -> None:
        for wish in wishes:
            assert isinstance(wish, LeasePorts)
            self.granted.append(Lease("a", "main", 8000 + len(self.granted), HOST))
            self.driver.tell(PortsLeased(wish.batch, (self.granted[-1],)))

    def holds(self, leases: Sequence[Lease]) -> bool:
        return all(lease in self.granted[1:] for lease in leases)

    def route(self, service: str, sinks: tuple[Sink, ...]) -> None: ...

    async def close(self) -> None: ...


def test_what_was_let_go_meanwhile_is_asked_for_again() -> None:
    async def run() -> None:
        driver = Driver(Engine(), lambda notes: None, lambda error: None)
        host = Forgetful(driver)
        driver.attach(host)
        answer = await driver.lease((PortRequest("a", "main", 8000, 8009, HOST),))
        assert isinstance(answer, PortsLeased)
        assert answer.leases == (host.granted[1],)

    asyncio.run(run())
