"""The GPUs of one stack: held from lease to release, and waited for.

The kernel is the lock (`gpu_claim`), among all launchpads of the machine. Decides nothing about who gets which
(`gpu_search`); a process that no launchpad started is not kept away, it is only seen by the memory that it uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Iterable, Sequence

from msgspec import Struct, field

from launchpad.core.facts import GpusFreed, Refusal
from launchpad.core.identity import fits
from launchpad.core.model import Lease, PortRequest
from launchpad.hosts.base import Tell
from launchpad.hosts.gpu_asked import Gpu, suits
from launchpad.hosts.gpu_search import Assigned, assign, refusals
from launchpad.hosts.local import gpu_claim, gpu_holders
from launchpad.hosts.local.gpu import GpuMemory
from launchpad.hosts.local.gpu_inventory import VARIABLE, NotUnderstood, simulated, visible
from launchpad.hosts.local.registry import registrations

TURN_S = 0.5
TURN_TRY_S = 0.005
SETTLE_S = 1.0
"""How long a copy of a claim that was let go may live on in the keeper."""
LOOK_AGAIN_S = 5.0
"""Where no event tells that a GPU can be had: its memory is used by somebody who took no claim, or too many wait."""


class Granted(Struct, frozen=True):
    leases: dict[PortRequest, Lease] = field(default_factory=dict)
    refused: tuple[Refusal, ...] = ()
    waiting: tuple[Refusal, ...] = ()
    new: tuple[Lease, ...] = ()
    """Those among the leases that were not held before."""


class Gpus:
    """`tell` is told `GpusFreed`, once after requests that wait, when it may be worth asking again: whatever else is
    asked meanwhile."""

    def __init__(self, run_id: str, memory: GpuMemory, tell: Tell) -> None:
        self._run_id, self._memory, self._tell_out = run_id, memory, tell
        self._loop = asyncio.get_running_loop()
        self.held: dict[Lease, float] = {}
        """With the time since when."""
        self._claims: dict[str, socket.socket] = {}
        self._let_go: dict[str, gpu_claim.Holder | None] = {}
        """A moment ago, and who had made the claim."""
        self._watching: dict[str, socket.socket] = {}
        self._again: asyncio.TimerHandle | None = None

    async def lease(self, requests: Sequence[PortRequest], preferred: Iterable[Lease]) -> Granted:
        """All or none of those that do not wait. What the same service holds already it gets again."""
        if not requests:
            return Granted()
        try:
            gpus = await self._inventory()
        except NotUnderstood as wrong:
            why = f"{VARIABLE} says `{wrong}`: write `4x80GB` or `0:80GB,1:24GB`"
            return Granted(refused=refusals(requests, (why,), unknown=True))
        if gpus is None:
            why = "there is no NVIDIA driver here that tells of GPUs (NVML)"
            return Granted(refused=refusals(requests, (why,), unknown=True))
        await self._settled()
        async with _turn():
            return self._lease(requests, gpus, preferred)

    def _lease(
        self, requests: Sequence[PortRequest], gpus: Sequence[Gpu], preferred: Iterable[Lease]
    ) -> Granted:
        kept = {one: lease for one in requests if (lease := self._kept(one)) is not None}
        asked = [one for one in requests if one not in kept]
        taken: dict[str, socket.socket] = {}

        def take(gpu: Gpu) -> bool:
            sock = None if gpu.name in self._claims else gpu_claim.claim(gpu.name)
            if sock is not None:
                taken[gpu.name] = sock
            return sock is not None

        found = assign(asked, gpus, take, lambda gpu: taken.pop(gpu.name).close(), preferred)
        new = {one: _lease(one, gpu) for one, gpu in found.found.items()}
        refused, waiting = self._told(found, gpus)
        if not refused:
            self._claims.update(taken)
            self.held.update((lease, time.time()) for lease in new.values())
            if waiting:
                self._watch(found.waiting, gpus)
        return Granted({**kept, **new}, refused, waiting, tuple(new.values()))

    def _told(self, found: Assigned, gpus: Sequence[Gpu]) -> tuple[tuple[Refusal, ...], tuple[Refusal, ...]]:
        if not found.refused and not found.waiting:
            return (), ()
        asked = {gpu.name: one.service for one, gpu in found.tried.items() if one not in found.refused}
        have = {lease.gpu: lease.service for lease in self.held}
        own = {gpu: f"asked for by `{service}` of this stack" for gpu, service in asked.items()}
        own |= {gpu: f"service `{service}` of this stack" for gpu, service in have.items()}
        others = registrations(dead=True)
        others = [one for one in others if one.run_id != self._run_id]
        now = gpu_holders.notes(found.refused, gpus, own, others, time.time())
        later = gpu_holders.notes(found.waiting, gpus, own, others, None)
        owners = {**asked, **have}
        refused = refusals(found.refused, now, never=found.never, gpus=gpus, owners=owners)
        return refused, refusals(found.waiting, later)

    def _kept(self, request: PortRequest) -> Lease | None:
        for lease in self.held:
            if (lease.service, lease.name) == (request.service, request.name) and fits(lease, request):
                return lease
        return None

    def adopt(self, leases: Iterable[Lease], claims: Sequence[socket.socket]) -> list[Lease]:
        """GPUs of a process that another launchpad started, with the claims that its keeper handed over. Returns those
        that somebody else has by now."""
        given = {gpu_claim.name_of(one): one for one in claims}
        lost = []
        for lease in leases:
            sock = given.get(lease.gpu) or gpu_claim.claim(lease.gpu)
            self.held[lease] = time.time()
            if sock is None:
                lost.append(lease)
            else:
                self._claims[lease.gpu] = sock
        return lost

    def claims(self, leases: Iterable[Lease]) -> list[int]:
        """Descriptors that hold these, for whoever is to hold them as well."""
        return [self._claims[lease.gpu].fileno() for lease in leases if lease.gpu in self._claims]

    def release(self, leases: Iterable[Lease]) -> None:
        for lease in leases:
            if (
                self.held.pop(lease, None) is not None
                and (sock := self._claims.pop(lease.gpu, None)) is not None
            ):
                self._let_go[lease.gpu] = gpu_claim.holder(lease.gpu)
                sock.close()

    def close(self) -> None:
        self._stop_watching()
        self.release(list(self.held))

    async def _inventory(self) -> tuple[Gpu, ...] | None:
        """None where nobody can say."""
        if (said := os.environ.get(VARIABLE)) is not None:
            return simulated(said)
        if not self._memory.opened.is_set():
            await asyncio.to_thread(self._memory.opened.wait)
        found = self._memory.gpus()
        return None if found is None else visible(found, os.environ)

    async def _settled(self) -> None:
        """What was let go of a moment ago is free for this stack as well: the keeper has closed its copy."""
        names, self._let_go = self._let_go, {}
        until = self._loop.time() + SETTLE_S
        for name, was in names.items():
            ours = name not in self._claims and gpu_claim.holder(name) == was
            sock = _watched(name) if ours else None
            if sock is None:
                continue
            gone = asyncio.Event()
            self._loop.add_reader(sock, gone.set)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), max(0.0, until - self._loop.time()))
            self._loop.remove_reader(sock)
            sock.close()

    # -- waiting -----------------------------------------------------------------------------------

    def _watch(self, waiting: Sequence[PortRequest], gpus: Sequence[Gpu]) -> None:
        """The kernel tells when one that others hold is let go; of this stack's own the core knows."""
        full = [Gpu(gpu.number, gpu.name, gpu.memory, gpu.memory) for gpu in gpus]
        names = [gpu.name for gpu in full if any(suits(one, gpu) for one in waiting)]
        silent = False
        for name in (one for one in names if one not in self._claims and one not in self._watching):
            if (sock := _watched(name)) is None:
                silent = True
            else:
                self._watching[name] = sock
                self._loop.add_reader(sock, self._tell)
        if silent and self._again is None:
            self._again = self._loop.call_later(LOOK_AGAIN_S, self._tell)

    def _tell(self) -> None:
        self._stop_watching()
        self._tell_out(GpusFreed())

    def _stop_watching(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        for sock in self._watching.values():
            self._loop.remove_reader(sock)
            sock.close()
        self._watching.clear()


def _lease(request: PortRequest, gpu: Gpu) -> Lease:
    return Lease(request.service, request.name, gpu.number, request.host, gpu.name, gpu.memory)


def _watched(name: str) -> socket.socket | None:
    """None also where too many watch it."""
    try:
        return gpu_claim.watch(name)
    except OSError:
        return None


@contextlib.asynccontextmanager
async def _turn() -> AsyncIterator[None]:
    """One launchpad of the machine at a time, as far as a bounded wait allows: two that start at once shall not each
    take half of what both want."""
    loop = asyncio.get_running_loop()
    deadline, turn = loop.time() + TURN_S, None
    while (turn := gpu_claim.claim(gpu_claim.TURN)) is None and loop.time() < deadline:
        await asyncio.sleep(TURN_TRY_S)  # whoever has it may not be waited for: it has no end that is told
    try:
        yield
    finally:
        if turn is not None:
            turn.close()
