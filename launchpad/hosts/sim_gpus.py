"""The GPUs of the simulated machine: who may have which.

Decides as a machine would whose launchpads all keep to the lock. Knows nothing of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from launchpad.core.facts import Refusal
from launchpad.core.identity import fits
from launchpad.core.model import Lease, PortRequest
from launchpad.hosts.gpu_asked import Gpu
from launchpad.hosts.gpu_search import assign, refusals


class SimGpus(Struct):
    """`memory`: of each GPU, in bytes. `taken`: numbers that strangers have. `awaited`: somebody waits for one."""

    memory: tuple[int, ...] = (80, 80, 80, 80)
    taken: dict[int, str] = field(default_factory=dict)
    awaited: bool = False

    def grant(
        self, requests: Sequence[PortRequest], held: Iterable[Lease], preferred: Iterable[Lease]
    ) -> tuple[list[Lease], tuple[Refusal, ...], tuple[Refusal, ...]]:
        """What is granted, what is refused, and what waits. What a service holds already it gets again."""
        mine = [lease for lease in held if lease.gpu]
        kept = {r: lease for r in requests if (lease := self._kept(r, mine)) is not None}
        used = [*self.taken, *(lease.number for lease in mine)]

        def take(gpu: Gpu) -> bool:
            if gpu.number in used:
                return False
            used.append(gpu.number)
            return True

        gpus = [Gpu(number, str(number), size, size) for number, size in enumerate(self.memory)]
        asked = [one for one in requests if one not in kept]
        found = assign(asked, gpus, take, lambda gpu: used.remove(gpu.number), preferred)
        new = [
            Lease(one.service, one.name, gpu.number, one.host, gpu.name, gpu.memory)
            for one, gpu in found.found.items()
        ]
        notes = tuple(f"{n}  {self._owner(n, mine)}" for n in range(len(self.memory)))
        owners = {gpu.name: one.service for one, gpu in found.tried.items() if one not in found.refused}
        owners |= {lease.gpu: lease.service for lease in mine}
        return (
            [*kept.values(), *new],
            refusals(found.refused, notes, never=found.never, gpus=gpus, owners=owners),
            refusals(found.waiting, notes),
        )

    def _kept(self, request: PortRequest, mine: list[Lease]) -> Lease | None:
        same = (
            x for x in mine if (x.service, x.name) == (request.service, request.name) and fits(x, request)
        )
        return next(same, None)

    def _owner(self, number: int, held: list[Lease]) -> str:
        ours = (f"`{lease.service}`" for lease in held if lease.number == number)
        return next(ours, self.taken.get(number, "free"))
