"""Environments that a change of the stack needs are made before anything is changed: what runs, runs on meanwhile.

Decides which those are, and what is said of one that could not be made. Refuses to know how one is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from launchpad.core.facts import PrepareFailed
from launchpad.core.model import Environment, OnChange, Service
from launchpad.errors import Diagnostic, Label
from launchpad.hosts.local import environment_folder as disk
from launchpad.stack.problems import listed

if TYPE_CHECKING:
    from launchpad.plan.read import Goals, Reading
    from launchpad.runtime.supervisor import Supervisor

NOT_MADE = "E508"
ASK_AGAIN_S = 2.0
"""So long somebody who asked for a reload is let wait before being told how far it is."""


def not_made(
    wanted: Environment,
    names: Sequence[str],
    text: str,
    tail: str,
    place: Callable[..., Label | None],
    consequence: str,
) -> Diagnostic:
    """`names`: whose it is; `tail` are the installer's own last lines."""
    found = (place(name, "requirements") for name in names)
    label = next((one for one in found if one is not None), None) or place(names[0])
    log = disk.shown(disk.log(wanted.folder), wanted.folder)
    return Diagnostic(
        NOT_MADE,
        f"the environment of {listed(names, 'and')} could not be made",
        labels=(label,) if label is not None else (),
        notes=(text.partition(": ")[2] or text, *((f"all of it: {log}",) if tail else ())),
        log=tuple(tail.splitlines()),
        consequence=consequence,
    )


def all_not_made(
    services: Iterable[Service],
    failed: Mapping[Environment, PrepareFailed],
    place: Callable[..., Label | None],
    consequence: str,
) -> list[Diagnostic]:
    """One for each environment, with all services whose it is."""
    names: dict[Environment, list[str]] = {}
    for service in services:
        if service.prepare is not None and service.prepare in failed:
            names.setdefault(service.prepare, []).append(service.name)
    return [
        not_made(wanted, whose, failed[wanted].text, failed[wanted].detail, place, consequence)
        for wanted, whose in names.items()
    ]


class Makings:
    """Those that a change waits for. `told` gets how far they are, `done` is called when one is there or has failed."""

    def __init__(self, supervisor: Supervisor, told: Callable[[str], None], done: Callable[[], None]) -> None:
        self._supervisor, self._told, self._done = supervisor, told, done
        self._tasks: dict[Environment, asyncio.Task[None]] = {}
        self._there: dict[Environment, None] = {}
        self._failed: dict[Environment, PrepareFailed] = {}
        self.text = ""
        """How far it is, in words."""

    def missing(self, reading: Reading, goals: Goals) -> tuple[Service, ...]:
        """Services that have a process, would get another one, and whose environment is not known to be there."""
        made = [one for one in reading.plan.services if one.prepare is not None]
        up = dict(goals) if made else {}
        return tuple(
            one
            for one in made
            if one.prepare not in self._there and up.get(one.name) and self._is_exchanged(one)
        )

    def _is_exchanged(self, service: Service) -> bool:
        state = self._supervisor.engine.state
        unit, beside = state.units.get(service.name), state.beside.get(service.name)
        if unit is None or unit.identity is None or not unit.is_alive:
            return False
        new = unit.identity.digest != service.digest
        under_way = beside is not None and beside.service.digest == service.digest
        return new and not under_way and service.on_change in (OnChange.RESTART, OnChange.REPLACE)

    def begin(self, services: Iterable[Service]) -> None:
        """What is under way goes on, what has failed is not tried again."""
        for one in dict.fromkeys(service.prepare for service in services):
            if one is not None and one not in self._tasks and one not in self._failed:
                self._tasks[one] = asyncio.get_running_loop().create_task(self._make(one))

    async def _make(self, wanted: Environment) -> None:
        try:
            answer = await self._supervisor.driver.prepare(wanted, self._progress)
        finally:
            del self._tasks[wanted]
        if isinstance(answer, PrepareFailed):
            self._failed[wanted] = answer
        else:
            self._there[wanted] = None
        self._done()

    def _progress(self, text: str) -> None:
        self.text = text
        self._told(text)

    def keep_only(self, services: Iterable[Service]) -> None:
        """Give up what nobody waits for any more."""
        wanted = [service.prepare for service in services]
        for one, task in list(self._tasks.items()):
            if one not in wanted:
                task.cancel()

    def try_again(self) -> None:
        """Forget what has failed."""
        self._failed.clear()

    def is_decided(self, services: Iterable[Service]) -> bool:
        return all(one.prepare in self._there or one.prepare in self._failed for one in services)

    async def wait_a_little(self) -> None:
        """Until one is there or has failed, or for a moment."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=ASK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)

    def problems(
        self, services: Iterable[Service], place: Callable[..., Label | None], consequence: str
    ) -> list[Diagnostic]:
        """Of those that could not be made."""
        return all_not_made(services, self._failed, place, consequence)
