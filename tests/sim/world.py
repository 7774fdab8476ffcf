"""The engine and a simulated host, tied together in virtual time, with every step recorded and checked."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from launchpad.core.engine import Engine
from launchpad.core.facts import Adopted, Exited, Fact, PlanApplied, PortsLeased, PortsRefused
from launchpad.core.model import Phase, Plan, PortRequest
from launchpad.core.state import Unit
from launchpad.core.wishes import HostWish, LeasePorts, Note, Wish
from launchpad.hosts.sim import Behave, Faults, SimHost, steady
from tests.sim.checks import Broken, Checks
from tests.sim.transcript import fact_line, wish_line

MAX_STEPS = 30_000
"""In one schedule: more means that it goes round and round."""


class World:
    """`step` lets the core see facts now; `run` lets time pass."""

    def __init__(
        self, behave: Behave = steady, faults: Faults | None = None, *, checked: bool = True
    ) -> None:
        self.inbox: list[Fact] = []
        self.now = 0.0
        self.host = SimHost(self._tell, behave, faults)
        self.leased: dict[int, PortsLeased | PortsRefused] = {}
        self.engine = Engine(1)
        self.epoch = 1
        self.checks = Checks(self) if checked else None
        self.trace: list[tuple[float, tuple[Fact, ...], list[Wish]]] = []
        self.remarks: list[tuple[int, str]] = []

    def _tell(self, fact: Fact) -> None:
        if isinstance(fact, PortsLeased | PortsRefused) and fact.batch < 0:
            self.leased[fact.batch] = fact
        else:
            self.inbox.append(fact)

    def lease(self, requests: tuple[PortRequest, ...]) -> PortsLeased | PortsRefused:
        """As the runtime does before it applies a plan: the core learns of it only with that plan, and what was let
        go meanwhile is asked for again."""
        while True:
            answer = self._ask(requests)
            if isinstance(answer, PortsRefused) or self.host.holds(answer.leases):
                return answer

    def _ask(self, requests: tuple[PortRequest, ...]) -> PortsLeased | PortsRefused:
        batch = -1 - len(self.leased)
        self.host.submit([LeasePorts(batch, requests)])
        while batch not in self.leased:
            at = self.next_time()
            assert at is not None, "nobody answers"
            self.run(at)
        return self.leased[batch]

    def apply(self, plan: Plan, goals: tuple[tuple[str, bool], ...] = ()) -> bool:
        """As the runtime does it: what the new plan needs besides is leased first; False if that is refused, and
        then nothing is changed."""
        requests, leased = self.engine.needed_first(plan, goals), ()
        while requests and not leased:
            answer = self.lease(requests)
            if isinstance(answer, PortsLeased):
                beside = tuple({port.service: None for port in requests if port.beside})
                leased = (replace(answer, beside=beside),)
            elif (left := self.engine.without_what_it_frees(plan, requests, answer.refusals)) is None:
                return False
            else:
                requests = left
        self.step(*leased, PlanApplied(plan, goals))
        return True

    def step(self, *facts: Fact) -> None:
        """The core sees what the host told, then these facts, in one batch."""
        batch = (*self.inbox, *facts)
        self.inbox.clear()
        wishes = self.engine.step(self.now, batch)
        self.trace.append((self.now, batch, wishes))
        if self.checks is not None:
            self.checks.after(self.now, batch, wishes)
            if len(self.trace) > MAX_STEPS:
                raise Broken("it goes round and round")
        orders: list[HostWish] = [wish for wish in wishes if not isinstance(wish, Note)]
        self.host.submit(orders)

    def next_time(self) -> float | None:
        times = (self.host.next_event(), self.engine.next_deadline())
        return min((t for t in times if t is not None), default=None)

    def run(self, until: float) -> None:
        """Everything that happens until then."""
        while self.inbox:
            self.step()
        while (at := self.next_time()) is not None and at <= until:
            self.now = max(self.now, at)
            self.host.advance(self.now)
            self.step()
            while self.inbox:
                self.step()
        self.now = max(self.now, until)
        self.host.advance(self.now)

    def crash(self, *facts: Fact) -> None:
        """The supervisor dies and another takes over: plan, survey and goals in one step."""
        before = self.engine.units
        found: list[Fact] = sorted(self.host.survey(), key=lambda fact: isinstance(fact, Exited))
        remembered = self.engine.remembered(self.now)
        self.inbox.clear()
        self.epoch += 1
        self.engine = Engine(self.epoch, tuple(self.engine.state.known_ports.values()))
        if self.checks is not None:
            self.checks.new_engine()
        adopted = [self._as_it_was(fact, before) for fact in found if isinstance(fact, Adopted)]
        self.step(*facts, *adopted, *remembered, *found[len(adopted) :])

    def _as_it_was(self, fact: Adopted, before: dict[str, Unit]) -> Adopted:
        """With what its record says of the service it was started as."""
        unit = before.get(fact.service)
        known = (
            unit is not None and unit.attempt == fact.attempt and unit.service.digest == fact.identity.digest
        )
        return replace(fact, was=unit.service if unit is not None and known else None)

    def remark(self, text: str) -> None:
        """A line of its own in the transcript."""
        self.remarks.append((len(self.trace), text))

    def transcript(self, *, with_facts: bool = True) -> str:
        lines: list[str] = []
        remarks = list(self.remarks)
        for index, (now, batch, wishes) in enumerate(self.trace):
            while remarks and remarks[0][0] <= index:
                lines.append(f"# {remarks.pop(0)[1]}")
            found: Iterable[str | None] = (wish_line(wish) for wish in wishes)
            if with_facts:
                found = (*(fact_line(fact) for fact in batch), *found)
            lines += [f"{now:9.3f} {line}" for line in found if line is not None]
        lines += [f"# {text}" for _, text in remarks]
        return "\n".join(lines)

    def phase(self, name: str) -> Phase:
        return self.engine.units[name].phase
