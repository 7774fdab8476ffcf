"""The loop between deciding and doing: facts are collected, the core is asked, wishes are handed on.

Refuses to know what any fact or wish means, but for notes (for people) and answers to requests of
the runtime itself, which carry a negative batch number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from launchpad.core.engine import Engine
from launchpad.core.facts import (
    CloseAsked,
    Fact,
    PortsLeased,
    PortsRefused,
    Prepared,
    PrepareFailed,
    Preparing,
)
from launchpad.core.model import Environment, PortRequest
from launchpad.core.wishes import Abandon, HostWish, LeasePorts, Note, Prepare
from launchpad.hosts.base import Host

LeaseAnswer = PortsLeased | PortsRefused
PrepareAnswer = Prepared | PrepareFailed


class Driver:
    """Runs an engine against a host. `on_notes` gets what happened after each step in which
    anything did; `on_fault` gets an error of the core itself (a bug of launchpad)."""

    def __init__(
        self,
        engine: Engine,
        on_notes: Callable[[list[Note]], None],
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self.engine = engine
        self.turns = 0
        """How often the core was asked: what was found out of it holds until it is asked again."""
        self._host: Host | None = None
        self._loop = asyncio.get_running_loop()
        self._on_notes = on_notes
        self._on_fault = on_fault
        self._inbox: list[Fact] = []
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._asked: dict[int, asyncio.Future[LeaseAnswer]] = {}
        self._made: dict[int, asyncio.Future[PrepareAnswer]] = {}
        self._progress: dict[int, Callable[[str], None]] = {}
        self._request = 0

    def attach(self, host: Host) -> None:
        self._host = host

    def tell(self, fact: Fact) -> None:
        """Take in a fact; the core sees it, with all others of this turn, at the end of the turn."""
        if isinstance(fact, PortsLeased | PortsRefused) and fact.batch in self._asked:
            self._asked.pop(fact.batch).set_result(fact)
            return
        if isinstance(fact, Preparing | Prepared | PrepareFailed) and fact.request < 0:
            self._tell_of_environment(fact)
            return
        self._inbox.append(fact)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def step(self, *facts: Fact) -> None:
        """Let the core see these facts now, together, before anything else happens."""
        self._inbox.extend(facts)
        self._turn()

    async def lease(self, requests: tuple[PortRequest, ...]) -> LeaseAnswer:
        """Ask the host for ports outside of a plan; nothing of the core's knowledge changes. What is leased is held when
        this returns: the caller's next step has to come at once, before anything else can let go of it."""
        while True:
            answer = await self._ask(requests)
            if isinstance(answer, PortsRefused) or (
                self._host is not None and self._host.holds(answer.leases)
            ):
                return answer

    async def _ask(self, requests: tuple[PortRequest, ...]) -> LeaseAnswer:
        assert self._host is not None
        batch = -(len(self._asked) + 1)
        while batch in self._asked:
            batch -= 1
        answer: asyncio.Future[LeaseAnswer] = self._loop.create_future()
        self._asked[batch] = answer
        known = self.engine.state.known_ports
        before = (known.get((one.service, one.name)) for one in requests if not one.beside)
        self._host.submit([LeasePorts(batch, requests, tuple(one for one in before if one is not None))])
        return await answer

    async def prepare(self, environment: Environment, told: Callable[[str], None]) -> PrepareAnswer:
        """Have the host make an environment that the core has not asked for. `told` gets how far it is. When this is
        cancelled, the making is given up."""
        assert self._host is not None
        self._request -= 1
        request = self._request
        answer: asyncio.Future[PrepareAnswer] = self._loop.create_future()
        self._made[request], self._progress[request] = answer, told
        self._host.submit([Prepare(request, environment)])
        try:
            return await answer
        except asyncio.CancelledError:
            self._host.submit([Abandon(request)])
            raise
        finally:
            del self._made[request], self._progress[request]

    def _tell_of_environment(self, fact: Preparing | Prepared | PrepareFailed) -> None:
        if fact.request not in self._made:
            return
        if isinstance(fact, Preparing):
            self._progress[fact.request](fact.text)
        elif not self._made[fact.request].done():
            self._made[fact.request].set_result(fact)

    def _turn(self) -> None:
        self._scheduled = False
        self.turns += 1
        facts, self._inbox = self._inbox, []
        try:
            wishes = self.engine.step(self._loop.time(), facts)
        except Exception as error:
            self._on_fault(error)
            return
        notes = [wish for wish in wishes if isinstance(wish, Note)]
        orders: list[HostWish] = [wish for wish in wishes if not isinstance(wish, Note)]
        if orders and self._host is not None:
            self._host.submit(orders)
        if notes or any(
            isinstance(fact, CloseAsked) for fact in facts
        ):  # where nothing was up, that is the end
            self._on_notes(notes)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.engine.next_deadline()
        if due is not None:
            self._timer = self._loop.call_at(due, self._turn)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
