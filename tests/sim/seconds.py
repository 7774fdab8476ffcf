"""What must hold of second processes: replacements, and those that are on their way out.

Part of `checks`: written against the notes, the wishes and the truth of the simulated host, not against the rules
of the core that make replacements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from launchpad.core import facts as f
from launchpad.core import wishes as w
from launchpad.core.facts import Fact
from launchpad.core.model import Lease, OnChange, Phase
from launchpad.core.state import Role, Unit
from tests.sim.broken import Broken

if TYPE_CHECKING:
    from tests.sim.checks import Checks

RUNNING = (Phase.STARTING, Phase.READY, Phase.UNREADY)
ENDED = (Phase.IDLE, Phase.BACKOFF, Phase.DONE, Phase.FAILED)

ENDING = (Phase.STOPPING, Phase.KILLING)


class Seconds:
    """`served`: services whose process was ready at the end of the last step; `mains`: attempts that were started, or
    have become, what the service's name means; `news`: a change that no replacement has failed for yet."""

    def __init__(self, checks: Checks) -> None:
        self.checks = checks
        self.served: dict[str, bool] = {}
        self.mains: dict[int, None] = {}
        self.news: dict[str, None] = {}
        self.told: dict[str, tuple[str, OnChange]] = {}

    def unit(self, name: str, attempt: int) -> Unit | None:
        """Whichever of the two is about this attempt."""
        state = self.checks.world.engine.state
        found = (state.units.get(name), state.beside.get(name))
        return next((unit for unit in found if unit is not None and unit.attempt == attempt), None)

    def leases(self) -> Iterator[Lease]:
        """Ports that are held for replacements."""
        for unit in self.checks.world.engine.state.everyone():
            yield from unit.leases.values()

    # --- each step -----------------------------------------------------------------------------------

    def read_facts(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, f.WatchedChanged):
                self.news.update(dict.fromkeys(fact.names))
            elif isinstance(fact, f.Adopted):
                self.mains[fact.attempt] = None
                before = None if fact.was is None else fact.was.digest
                if before is not None and self.told.get(fact.service, (before,))[0] != before:
                    self.news[fact.service] = None  # what an earlier supervisor tried, this one does not know
            elif isinstance(fact, f.PlanApplied):
                told = {one.name: (one.digest, one.on_change) for one in fact.plan.services}
                self.news.update((n, None) for n, what in told.items() if self.told.get(n, what) != what)
                self.told = told

    def moved(self, note: w.Note) -> None:
        """It has gone from one phase to another, or has taken over."""
        checks, name, key = self.checks, note.service, f"{note.service}'"
        if note.text.startswith("takes over"):
            self._takes_over(note)
            return
        if note.text.startswith("failed: "):
            return  # said of the one that runs
        before = checks.phase.get(key, "idle")
        if before == note.phase:
            return
        checks.phase[key], checks.entered[key] = note.phase, checks.now
        if note.phase == "failed":
            self.news.pop(name, None)
        if note.what == "leaving" and note.phase == "stopping":
            self._order(name, note.attempt)
        if note.phase == "killing" and before == "stopping":
            self._grace(name, note)

    def _grace(self, name: str, note: w.Note) -> None:
        unit = self.unit(name, note.attempt)
        age = self.checks.now - self.checks.entered[f"{name}'"]
        if unit is not None and unit.handle is None and age < 0:
            raise Broken(f"{name}: what is not there is killed")

    def _takes_over(self, note: w.Note) -> None:
        checks, name = self.checks, note.service
        old = checks.phase.get(name, "idle")
        p = checks.world.host.processes.get(note.attempt)
        if note.phase == "ready":
            unit = checks.world.engine.units[name]
            check = unit.service.ready
            if p is None or (check is not None and p.passed < check.successes):
                raise Broken(f"{name} is taken over by what never passed its check")
        elif old not in {phase.value for phase in ENDED}:
            raise Broken(f"{name} is taken over by what is {note.phase} while the old one is {old}")
        self.mains[note.attempt] = None
        key = f"{name}'"
        now, then = checks.entered.get(key, checks.now), checks.entered.get(name, checks.now)
        checks.phase[name], checks.phase[key] = note.phase, old
        checks.entered[name], checks.entered[key] = now, then
        checks.deaths.pop(name, None)
        checks.going.pop(name, None)
        self.news.pop(name, None)

    def _order(self, name: str, attempt: int) -> None:
        """What leaves is asked to only when those that were told of it, and have to go, are gone. Of a replacement that
        never served nobody was told, though its port may have been that of one that did."""
        if attempt not in self.mains:
            return
        checks, leaver = self.checks, self.unit(name, attempt)
        by_itself = leaver is None or leaver.leaving is not None or leaver.exited is not None
        if by_itself or leaver is None or checks.just_closed or leaver.phase is not Phase.STOPPING:
            return
        for other in checks.world.engine.units.values():
            was = other.identity
            if was is None or other.phase in ENDED or not any(n.on == name for n in other.service.needs):
                continue
            told = any(lease.service == name and lease in leaver.old_leases for lease in was.leases)
            bound = (name, attempt) in was.bound and any(
                n.bound and n.on == name for n in other.service.needs
            )
            if (told or bound) and checks._has_to_go(other):
                raise Broken(f"the old {name} is stopped before {other.name}, which was told of it")

    def may_be_started(self, unit: Unit, wish: w.Spawn) -> None:
        """One process of a service; or two, if the other one serves, or leaves."""
        name, world = wish.service, self.checks.world
        living = world.host.living(name)
        own = [lease.number for lease in wish.launch.ports]
        for p in world.host.processes.values():
            used = [x.number for x in p.identity.leases if p.lives and x.service == p.service]
            if any(number in own for number in used):
                raise Broken(f"{name} is started on a port that {p.service} still uses")
        if unit.role is not Role.NEXT:
            self.mains[wish.attempt] = None
            second = world.engine.state.beside.get(name)
            goes = second is not None and (second.role is Role.LEAVER or second.phase in ENDING)
            leaving = goes and second is not None and second.attempt
            if any(p.attempt != leaving for p in living) or len(living) > 1:
                raise Broken(f"{name} is started while another process of it lives")
            return
        main, now = world.engine.units[name], self.checks.plan.get(name)
        if now is None or len(living) > 1:
            raise Broken(f"{name}: a replacement is started while {len(living)} live")
        if main.phase not in RUNNING or any(p.attempt != main.attempt for p in living):
            raise Broken(f"{name}: a replacement is started beside what is {main.phase.value}")
        if name not in self.news:
            raise Broken(f"{name}: a replacement is started although nothing has changed")

    def after(self) -> None:
        """At the end of a step."""
        state = self.checks.world.engine.state
        for name, unit in state.units.items():
            self.served[name] = unit.ready_at is not None and unit.phase not in ENDED
            living = self.checks.world.host.living(name)
            if len(living) > (2 if name in state.beside else 1):
                raise Broken(f"{len(living)} processes of {name} live")
        for name, second in state.beside.items():
            main, now = state.units[name], self.checks.plan.get(name)
            if second.phase.value != self.checks.phase.get(f"{name}'", "idle"):
                raise Broken(f"the second {name} became {second.phase.value} without a word")
            if second.phase in (Phase.BACKOFF, Phase.DONE) or (second.phase in ENDED and second.attempt):
                raise Broken(f"the second {name} is {second.phase.value} and still there")
            if second.role is not Role.NEXT:
                if second.phase in RUNNING and not self._waits_for_dependents(second):
                    raise Broken(f"the second {name} has to leave and nothing happens")
                continue
            if second.phase is Phase.READY:
                raise Broken(f"the replacement of {name} is ready and does not take over")
            if now is None or not (main.goal and not main.removed) or second.service.digest != now.digest:
                raise Broken(f"a replacement of {name} goes on that nobody wants")
            if second.attempt and main.phase in ENDED and second.phase in RUNNING:
                raise Broken(f"{name} has ended, and its replacement does not take over")
        for key in [k for k in self.checks.phase if k.endswith("'") and k[:-1] not in state.beside]:
            del self.checks.phase[key]
            self.checks.entered.pop(key, None)

    def _waits_for_dependents(self, second: Unit) -> bool:
        others = self.checks.world.engine.units.values()
        return any(
            other.phase not in ENDED and self.checks._has_to_go(other)
            for other in others
            if any(need.on == second.name for need in other.service.needs)
        )

    # --- at rest -------------------------------------------------------------------------------------

    def unsettled(self) -> list[str]:
        found = []
        world = self.checks.world
        for name, second in world.engine.state.beside.items():
            p = world.host.processes.get(second.attempt)
            never = second.phase is Phase.STARTING and p is not None and p.lives and not self._is_up(second)
            held = not second.attempt and self.checks.is_blocked(second)
            if second.role is not Role.NEXT or not (never or held or self._waits_for_another(second)):
                found.append(f"the second {name} is {second.phase.value}")
        for name, unit in world.engine.units.items():
            now, was = self.checks.plan.get(name), unit.identity
            if (
                now is None
                or was is None
                or unit.phase not in RUNNING
                or now.on_change is not OnChange.REPLACE
            ):
                continue
            if was.digest != now.digest and unit.failed is None and name not in world.engine.state.beside:
                found.append(f"{name} runs with its old definition and nothing happens")
        return found

    def _is_up(self, second: Unit) -> bool:
        p = self.checks.world.host.processes[second.attempt]
        return p.is_ready(self.checks.world.now) and not p.behaviour.silent

    def _waits_for_another(self, second: Unit) -> bool:
        bound = [need.on for need in second.service.needs if need.bound]
        beside = self.checks.world.engine.state.beside
        return not second.attempt and any(name in beside for name in (*second.service.uses, *bound))
