"""Two worlds behind one door: the simulated host in virtual time, and this machine with real processes.

A case is written once against `World`; that both hosts pass it is what makes the simulation worth believing.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from msgspec import Struct

from launchpad.core.facts import Fact
from launchpad.core.model import CheckKind, Identity, Launch, Lease, Probing
from launchpad.core.wishes import HostWish, Spawn
from launchpad.hosts.local import gpu_claim
from launchpad.hosts.local.host import LocalHost
from launchpad.hosts.sim import Behaviour, SimHost
from launchpad.paths import stack_paths
from launchpad.runtime.store import prepare

DEADLINE_S = 30.0
T = TypeVar("T")


class Actor(Struct, frozen=True):
    """What a process of a case does, in words that both worlds understand."""

    exit: int | None = None
    deaf: bool = False
    children: int = 0
    """Processes that it leaves behind, each in a session of its own."""
    serves: bool = False
    missing: bool = False
    """There is no such program."""


class World(Protocol):
    facts: list[Fact]

    def submit(self, *wishes: HostWish) -> None: ...
    def spawn(self, service: str, attempt: int, actor: Actor, ports: tuple[Lease, ...] = ()) -> None: ...
    def probing(self, lease: Lease) -> Probing: ...
    def until(self, true: Callable[[], T | None]) -> T: ...
    def take_gpu(self, name: str, number: int) -> None: ...
    def free_gpu(self, name: str, number: int) -> None: ...
    def close(self) -> None: ...


def _spawn(service: str, attempt: int, argv: Sequence[str], ports: tuple[Lease, ...], folder: str) -> Spawn:
    launch = Launch(tuple(argv), (), True, folder, ports)
    return Spawn(service, attempt, Identity("digest"), launch)


class Simulated:
    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self._actors: dict[str, Actor] = {}
        self._host = SimHost(self.facts.append, self._behave)

    def _behave(self, service: str, nth: int) -> Behaviour:
        actor = self._actors[service]
        return Behaviour(
            spawn_fails="exec" if actor.missing else "",
            fails_finally=actor.missing,
            ready_s=0.05 if actor.serves else None,
            exit_s=None if actor.exit is None else 0.05,
            code=actor.exit or 0,
            ignores_term=actor.deaf,
            children=actor.children,
        )

    def submit(self, *wishes: HostWish) -> None:
        self._host.submit(wishes)

    def spawn(self, service: str, attempt: int, actor: Actor, ports: tuple[Lease, ...] = ()) -> None:
        self._actors[service] = actor
        self.submit(_spawn(service, attempt, ["program"], ports, "/"))

    def take_gpu(self, name: str, number: int) -> None:
        self._host.gpus.taken[number] = "a stranger"

    def free_gpu(self, name: str, number: int) -> None:
        del self._host.gpus.taken[number]
        self._host.tell_of_gpus()

    def probing(self, lease: Lease) -> Probing:
        return Probing(CheckKind.TCP, f"{lease.host}:{lease.number}")

    def until(self, true: Callable[[], T | None]) -> T:
        """Let virtual time pass, event by event."""
        end = self._host.now + DEADLINE_S
        while (value := true()) is None or value is False:
            at = self._host.next_event()
            assert at is not None, f"nothing more happens; {self.facts}"
            assert at <= end, f"not in time; {self.facts}"
            self._host.advance(at)
        return value

    def close(self) -> None:
        pass


class Real:
    def __init__(self, folder: Path) -> None:
        self.facts: list[Fact] = []
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._news = asyncio.Event()
        self._strangers: dict[str, socket.socket] = {}
        self._host = self._loop.run_until_complete(self._make())

    async def _make(self) -> LocalHost:
        paths = stack_paths(self._folder / "stack.yaml")
        prepare(paths)
        return LocalHost(self._tell, paths, "contract", run_id=f"contract-{self._folder.name}")

    def _tell(self, fact: Fact) -> None:
        self.facts.append(fact)
        self._news.set()

    def submit(self, *wishes: HostWish) -> None:
        async def go() -> None:
            self._host.submit(wishes)

        self._loop.run_until_complete(go())

    def spawn(self, service: str, attempt: int, actor: Actor, ports: tuple[Lease, ...] = ()) -> None:
        argv = [sys.executable, "-m", "launchpad.pretend"]
        argv += [] if actor.exit is None else ["--exit", str(actor.exit)]
        argv += ["--ignore-term"] if actor.deaf else []
        argv += ["--fork", "setsid"] * actor.children
        argv += ["--port", str(ports[0].number)] if actor.serves else []
        self.submit(
            _spawn(
                service, attempt, ["/no/such/program"] if actor.missing else argv, ports, str(self._folder)
            )
        )

    def take_gpu(self, name: str, number: int) -> None:
        sock = gpu_claim.claim(name)
        assert sock is not None
        self._strangers[name] = sock

    def free_gpu(self, name: str, number: int) -> None:
        self._strangers.pop(name).close()

    def probing(self, lease: Lease) -> Probing:
        return Probing(CheckKind.TCP, f"{lease.host}:{lease.number}", timeout_s=2.0)

    def until(self, true: Callable[[], T | None]) -> T:
        async def wait() -> T:
            end = time.monotonic() + DEADLINE_S
            while (value := true()) is None or value is False:
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), max(0.01, end - time.monotonic()))
                except TimeoutError:
                    raise AssertionError(f"not in time; {self.facts}") from None
            return value

        return self._loop.run_until_complete(wait())

    def close(self) -> None:
        for sock in self._strangers.values():
            sock.close()
        self._loop.run_until_complete(self._host.close())
        self._loop.close()
