"""The ports of one stack, and with them its GPUs: held from lease to release, handed to children through a door.

The kernel is the lock (`port_hold`). A batch gets all its ports or none, by the greedy that finds a way if
there is one: numbers upwards, each to the request whose range ends first. Decides which number, and when
a door opens and shuts; refuses to know what the services are.

A number that one service gave back is kept from others for a while, because clients may still talk to it.
That is a preference, not a refusal: it goes to another if nothing else is left, or if it was named.

A door is shut for good, until the next start, once the main process itself listens. If a process below it
listens (a reloader, a shell), that one may be replaced and has to bind again, so the door stays open until
the main process ends; the listener itself keeps strangers out meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

from launchpad.core.facts import PortsLeased, PortsRefused, Refusal
from launchpad.core.model import Handover, Lease, PortRequest
from launchpad.core.wishes import AbandonPorts, LeasePorts, ReleasePorts
from launchpad.hosts.local.gpu import GpuMemory
from launchpad.hosts.local.gpus import Gpus
from launchpad.hosts.local.port_hold import Hold, Taken, listens
from launchpad.hosts.local.port_holders import holders
from launchpad.hosts.local.port_search import Search
from launchpad.hosts.local.registry import (
    Registration,
    private_runtime_dir,
    register,
    registrations,
    unregister,
)
from launchpad.hosts.local.sockets import listeners, owners
from launchpad.hosts.local.spawn_failure import NotStarted
from launchpad.paths import StackPaths

QUARANTINE_S = 15.0
TURN_S = 0.5
"""How long another launchpad's allocation is waited for. The kernel decides in any case; taking turns only
keeps two that start at once from each taking half of a range."""
TURN_TRY_S = 0.005
"""Between two tries. To wait in the kernel for a file lock has no deadline, and would take a thread that cannot be ended;
inotify tells that the lock's file is closed before the lock goes."""
FIRST_LOOK_S, LAST_LOOK_S = 0.25, 15.0
"""How often it is looked whether a child listens that nobody probes: the kernel sends no event."""
OTHER_LOOPBACK_S = 2.0
"""A server that has begun to listen on one loopback may be about to listen on the other."""
RETAKE_FIRST_S, RETAKE_LAST_S = 0.05, 1.0


class Ports:
    """`main_pid` gives the pid of the live main process that was started with a port."""

    def __init__(
        self,
        paths: StackPaths,
        stack: str,
        run_id: str,
        main_pid: Callable[[Lease], int | None],
        gpus: Gpus | None = None,
    ) -> None:
        self._paths, self._stack, self._run_id, self._main_pid = paths, stack, run_id, main_pid
        self._loop = asyncio.get_running_loop()
        self._holds: dict[Lease, Hold] = {}
        self._of: dict[str, dict[Lease, Hold]] = {}
        """The same, of each service."""
        self._gpus = gpus or Gpus(run_id, GpuMemory(), lambda fact: None)
        self._freed: dict[int, tuple[str, float]] = {}
        self._allocating = asyncio.Lock()
        self._granted: tuple[int, tuple[Lease, ...]] = (0, ())
        """The latest request of the core, and what it got that was not held before and nobody else was told of."""
        self._abandoned = 0
        """Requests of the core up to this one are answered to nobody."""
        self.does: dict[type, Callable[[Any], None]] = {
            ReleasePorts: lambda wish: self.release(wish.leases),
            AbandonPorts: lambda wish: self.abandon(wish.batch),
        }
        self._looking: asyncio.TimerHandle | None = None
        self._look_s = FIRST_LOOK_S
        self._retaking: dict[Lease, asyncio.TimerHandle] = {}
        self._register()

    # -- leases ------------------------------------------------------------------------------------

    async def lease(self, wish: LeasePorts) -> PortsLeased | PortsRefused | None:
        """All that is asked for, or nothing and for every number of a range that is full who has it. None where nobody
        waits for it any more."""
        async with self._allocating, _turn():
            answer = await self._lease(wish)
        if not 0 < wish.batch <= self._abandoned:
            return answer
        self.abandon(wish.batch)
        return None

    def abandon(self, batch: int) -> None:
        """What this request of the core got is let go; also if it is to get it yet."""
        self._abandoned = max(self._abandoned, batch)
        if self._granted[0] == batch:
            self.release(self._granted[1])

    async def _lease(self, wish: LeasePorts) -> PortsLeased | PortsRefused:
        granted = await self._gpus.lease([one for one in wish.requests if one.gpu], wish.preferred)
        wanted = [one for one in wish.requests if one.gpu is None]
        kept = {request: hold for request in wanted if (hold := self._fitting(request))}
        asked = [request for request in wanted if request not in kept]
        others = [one for one in registrations() if one.run_id != self._run_id]
        search = Search(asked, wish.preferred, others, self._offset, self._quarantined)
        found = search.run()
        if found is None or granted.refused:
            self._gpus.release(granted.new)
            for hold in (found or {}).values():
                hold.close()
            refused = tuple(self._refusal(r, search, others) for r in search.failed)
            return PortsRefused(wish.batch, (*refused, *granted.refused))
        for hold in found.values():
            self._hold(hold)
        new = (*(hold.lease for hold in found.values()), *granted.new)
        if found or granted.new:
            self._register()
        leases = {one: hold.lease for one, hold in {**kept, **found}.items()} | granted.leases
        had = tuple(leases[one] for one in wish.requests if one in leases)
        if wish.batch > 0:
            self._granted = (wish.batch, new)
        else:  # the plan that this is for is told of these
            self._granted = (self._granted[0], tuple(one for one in self._granted[1] if one not in had))
        return PortsLeased(wish.batch, had, waiting=granted.waiting)

    def adopt(
        self,
        leases: Iterable[Lease],
        handovers: Iterable[tuple[str, Handover]],
        claims: Sequence[socket.socket] = (),
    ) -> None:
        """Ports of a child that another launchpad started: held again as far as that is possible, and
        registered. What cannot be held while the child listens is taken when it has ended. `claims` are those of its
        GPUs, as far as the keeper handed them over."""
        how, known = dict(handovers), list(leases)
        self._gpus.adopt([lease for lease in known if lease.gpu], claims)
        for lease in (one for one in known if not one.gpu):
            hold = Hold(lease, how.get(lease.name, Handover.SHARED), time.time())
            self._hold(hold)
            hold.take_beside()
            self._begin_to_look()
        if known:
            self._register()

    def holds(self, leases: Iterable[Lease]) -> bool:
        return all(lease in (self._gpus.held if lease.gpu else self._holds) for lease in leases)

    def claims(self, leases: Iterable[Lease]) -> list[int]:
        """Descriptors by which whoever has them holds these GPUs as well."""
        return self._gpus.claims(leases)

    def release(self, leases: Sequence[Lease]) -> None:
        gpus = [lease for lease in leases if lease.gpu]
        self._gpus.release(gpus)
        changed = bool(gpus)
        for lease in leases:
            hold = self._holds.pop(lease, None)
            if hold is not None:
                del self._of[lease.service][lease]
                self._stop_retaking(lease)
                hold.close()
                self._freed[lease.number] = (lease.service, self._loop.time() + QUARANTINE_S)
                changed = True
        if changed:
            self._register()

    async def close(self) -> None:
        """Free everything."""
        if self._looking is not None:
            self._looking.cancel()
        for lease, hold in self._holds.items():
            self._stop_retaking(lease)
            hold.close()
        self._holds.clear()
        self._of.clear()
        self._gpus.close()
        unregister(self._paths)

    def _hold(self, hold: Hold) -> None:
        self._holds[hold.lease] = hold
        self._of.setdefault(hold.lease.service, {})[hold.lease] = hold

    def _fitting(self, request: PortRequest) -> Hold | None:
        for lease, hold in self._of.get(request.service, {}).items():
            same = (lease.name, lease.host) == (request.name, request.host)
            if same and request.low <= lease.number <= request.high and lease.number not in request.avoid:
                return hold
        return None

    def _offset(self, request: PortRequest) -> int:
        """Where in its range an `auto` begins: the same at every start of the same stack file."""
        what = f"{self._paths.file}\0{request.service}\0{request.name}".encode(errors="surrogateescape")
        digest = hashlib.blake2b(what, digest_size=8).digest()
        return int.from_bytes(digest, "big") % (request.high - request.low + 1)

    def _quarantined(self, request: PortRequest, number: int) -> bool:
        service, until = self._freed.get(number, (request.service, 0.0))
        return service != request.service and self._loop.time() < until

    def _refusal(self, request: PortRequest, search: Search, others: list[Registration]) -> Refusal:
        if (why := search.impossible.get(request)) is not None:
            notes: tuple[str, ...] = (why,)
        else:
            own = {lease.number: f"service `{lease.service}` of this stack" for lease in self._holds}
            own.update(search.own_use)
            notes = holders(request.host, range(request.low, request.high + 1), own, others)
        return Refusal(request.service, request.name, request.low, request.high, notes, request.beside)

    def _register(self) -> None:
        leases = [(lease, hold.since) for lease, hold in self._holds.items()]
        leases += self._gpus.held.items()
        with contextlib.suppress(OSError):  # it only explains; without it others see our pid
            register(self._paths, self._stack, self._run_id, leases)

    # -- doors -------------------------------------------------------------------------------------

    def open_door(
        self, leases: Sequence[Lease], handovers: Iterable[tuple[str, Handover]]
    ) -> list[tuple[str, int]]:
        """Just before a start. Returns (port name, descriptor) of the listening sockets to hand over.

        Raises NotStarted when a port that had been let go of was taken by somebody else.
        """
        how = dict(handovers)
        listening = []
        for lease in leases:
            if lease not in self._holds:
                self._hold(Hold(lease, Handover.SHARED, time.time()))
            hold = self._holds[lease]
            self._stop_retaking(lease)
            self._take_again(hold)
            hold.handover = how.get(lease.name, Handover.SHARED)
            if hold.handover is Handover.INHERIT:
                listening.append((lease.name, self._listen(hold)))
            elif hold.handover is Handover.RELEASE:
                hold.close()
            else:
                hold.open_door()
                self._begin_to_look()
        return listening

    def shut_door(self, leases: Iterable[Lease]) -> None:
        """The main process has ended; others of its tree may still listen."""
        for hold in self.holds_of(leases):
            hold.shut_door()

    def ended(self, leases: Iterable[Lease]) -> None:
        """Nothing of the child lives: from here to its next start nobody shall have its ports."""
        for hold in self.holds_of(leases):
            hold.shut_door()
            if not hold.held:
                self._retake(hold, RETAKE_FIRST_S)
            elif hold.handover is Handover.INHERIT:
                hold.fall_silent()

    def look(self, service: str | None = None) -> None:
        """Shut the doors through which somebody listens by now; of one service, or of all."""
        holds = self._holds if service is None else self._of.get(service, {})
        for hold in holds.values():
            if not hold.settled:
                self._look_at(hold)

    def _look_at(self, hold: Hold) -> None:
        known = listeners(hold.lease.number)
        here = listens(known, hold.lease.host, hold.lease.number)
        if not here:
            return
        now = self._loop.time()
        hold.seen_at = now if hold.seen_at is None else hold.seen_at
        main = self._main_pid(hold.lease)
        mains = owners({one.inode for one in known}, [] if main is None else [main])
        if any(one.inode in mains for one in here):
            hold.shut_primary()
        if now - hold.seen_at >= OTHER_LOOPBACK_S:
            there = [one for one in known if one not in here]
            if not there or any(one.inode in mains for one in there):
                hold.shut_other()
            hold.settled = True

    def _begin_to_look(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self._look_s = FIRST_LOOK_S
        self._looking = self._loop.call_later(self._look_s, self._look_again)

    def _look_again(self) -> None:
        self._looking = None
        self.look()
        if not all(hold.settled for hold in self._holds.values()):
            self._look_s = min(LAST_LOOK_S, self._look_s * 2)
            self._looking = self._loop.call_later(self._look_s, self._look_again)

    def holds_of(self, leases: Iterable[Lease]) -> Iterator[Hold]:
        return (self._holds[lease] for lease in leases if lease in self._holds)

    def _listen(self, hold: Hold) -> int:
        try:
            return hold.listen()
        except OSError as error:
            text = f"port {hold.lease.number} cannot be listened on: {error.strerror}"
            raise NotStarted("ports", text, False) from None

    def _take_again(self, hold: Hold) -> None:
        if hold.held:
            return
        lease = hold.lease
        try:
            hold.take(strict=False)
        except Taken:
            others = [one for one in registrations() if one.run_id != self._run_id]
            (who,) = holders(lease.host, [lease.number], {}, others)
            text = f"its port {lease.number} is not free after it was let go of: {who.partition('  ')[2]}"
            raise NotStarted("ports", text, False, lost=(lease.name,)) from None

    def _retake(self, hold: Hold, wait_s: float) -> None:
        """After a child to which the port was released: have it back, as soon as it can be had."""
        self._retaking.pop(hold.lease, None)
        if hold.held or hold.lease not in self._holds:
            return
        try:
            hold.take(strict=False)
        except Taken:
            again = min(RETAKE_LAST_S, wait_s * 2)
            self._retaking[hold.lease] = self._loop.call_later(wait_s, self._retake, hold, again)

    def _stop_retaking(self, lease: Lease) -> None:
        timer = self._retaking.pop(lease, None)
        if timer is not None:
            timer.cancel()


@contextlib.asynccontextmanager
async def _turn() -> AsyncIterator[None]:
    """One launchpad of this user at a time, as far as a bounded wait allows."""
    fd = None
    with contextlib.suppress(OSError):
        path = private_runtime_dir() / "ports.lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = asyncio.get_running_loop().time() + TURN_S
        while fd is not None and not _locked(fd) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(TURN_TRY_S)  # see there why it is no event
        yield
    finally:
        if fd is not None:
            os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
