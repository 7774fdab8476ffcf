"""Finds numbers for a batch of requests: all or none.

For ranges on a line the greedy is exact: numbers upwards, each free one to the open request whose range
ends first. It fails only if no assignment exists. Decides who gets which number; binding is `port_hold`'s.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from launchpad.core.model import Lease, PortRequest
from launchpad.hosts.local.port_hold import Hold, Taken
from launchpad.hosts.local.registry import Registration

Found = dict[PortRequest, Hold]

IMPOSSIBLE = {
    errno.EADDRNOTAVAIL: "`{host}` is not an address of this machine",
    errno.EAFNOSUPPORT: "this machine has no addresses like `{host}`",
    errno.EACCES: "this user may not have port {low} (numbers below 1024 need more rights)",
    errno.EMFILE: "launchpad has too many open files (`ulimit -n`)",
}
"""Errors by which another number is no better."""


class Search:
    """One batch. After a `run` that found nothing, `failed` are the requests that got no number,
    `own_use` says which numbers others of the batch had, `impossible` why one could not have any."""

    def __init__(
        self,
        requests: Sequence[PortRequest],
        preferred: Iterable[Lease],
        others: Iterable[Registration],
        offset: Callable[[PortRequest], int],
        quarantined: Callable[[PortRequest, int], bool],
    ) -> None:
        self._requests = requests
        self._preferred = {(one.service, one.name, one.host): one.number for one in preferred}
        self._claimed = {held.number for one in others for held in one.ports}
        self._offset, self._quarantined = offset, quarantined
        self._found: Found = {}
        self._avoiding = True
        self.failed: list[PortRequest] = []
        self.impossible: dict[PortRequest, str] = {}
        self.own_use: dict[int, str] = {}

    def run(self) -> Found | None:
        """The best that can be had: earlier numbers, then any but those freed just now, then any."""
        for keep, avoid in ((True, True), (False, True), (False, False)):
            self._found, self._avoiding, self.failed = {}, avoid, []
            if keep:
                self._keep()
            self._greedy([one for one in self._requests if not one.auto and one not in self._found])
            for one in self._requests:
                if one.auto and one not in self._found:
                    self._auto(one)
            if not self.failed:
                return self._found
            self.own_use = {
                h.lease.number: f"service `{r.service}` of this stack" for r, h in self._found.items()
            }
            for hold in self._found.values():
                hold.close()
        return None

    def _keep(self) -> None:
        for one in self._requests:
            number = self._preferred.get((one.service, one.name, one.host))
            if number is not None and one.low <= number <= one.high:
                self._take(one, number)

    def _greedy(self, requests: Sequence[PortRequest]) -> None:
        waiting = deque(sorted(requests, key=lambda one: (one.low, one.high)))
        active: list[PortRequest] = []
        number = 0
        while waiting or active:
            number = waiting[0].low if not active else number
            while waiting and waiting[0].low <= number:
                active.append(waiting.popleft())
            active.sort(key=lambda one: one.high)
            for one in self._winners(active, number):
                active.remove(one)
            number += 1
            self.failed += [one for one in active if one.high < number]
            active = [one for one in active if one.high >= number]

    def _winners(self, active: Sequence[PortRequest], number: int) -> list[PortRequest]:
        """Who gets this number: one request, or several that name it on different addresses."""
        won: list[PortRequest] = []
        tried: set[str] = set()
        for one in active:
            if one.host in tried or (won and one.low != one.high):
                continue
            tried.add(one.host)
            if self._take(one, number):
                won.append(one)
        return won

    def _auto(self, one: PortRequest) -> None:
        size = one.high - one.low + 1
        first = self._offset(one)
        if not any(self._take(one, one.low + (first + step) % size) for step in range(size)):
            self.failed.append(one)

    def _take(self, one: PortRequest, number: int) -> bool:
        named = one.low == one.high
        if (
            number in one.avoid
            or one in self.impossible
            or (self._avoiding and not named and self._quarantined(one, number))
        ):
            return False
        hold = Hold(Lease(one.service, one.name, number, one.host), one.handover, time.time())
        try:
            hold.take(strict=not named, claimed=self._claimed)
        except Taken as taken:
            if taken.why in IMPOSSIBLE and (taken.why != errno.EACCES or one.high < 1024):
                self.impossible[one] = IMPOSSIBLE[taken.why].format(host=one.host, low=number)
            return False
        self._found[one] = hold
        return True


__all__ = ["Found", "Search"]
