"""Who has which GPU, in words: for a refusal that can be acted upon, and for what waits.

Asks the launchpads of this user first, then the kernel. Decides nothing about who may have it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from launchpad.core.model import PortRequest
from launchpad.hosts.gpu_asked import Gpu, is_it, name_of, size
from launchpad.hosts.local import gpu_claim
from launchpad.hosts.local.port_holders import ago
from launchpad.hosts.local.records import open_records
from launchpad.hosts.local.registry import Registration
from launchpad.hosts.local.sockets import command_of
from launchpad.paths import stack_paths


def notes(
    requests: Sequence[PortRequest],
    gpus: Sequence[Gpu],
    own: Mapping[str, str],
    others: Sequence[Registration],
    now: float | None,
) -> tuple[str, ...]:
    """One line for each GPU that would do, `1  who`, or for neighbours of which the same is to be said. `own` says it of
    those that this stack has. `now`, in seconds since the epoch, for how long; None for what is read later."""
    if not requests:
        return ()
    if not gpus:
        return ("this machine has no GPU",)
    wanted = max(one.gpu.memory for one in requests if one.gpu is not None)
    missing = sorted({name_of(one) for one in requests if not any(is_it(one, gpu) for gpu in gpus)})
    asked = (gpu for gpu in gpus if any(is_it(one, gpu) for one in requests))
    known = [
        (gpu.number, _who(gpu, own, others, wanted, now)) for gpu in sorted(asked, key=lambda gpu: gpu.number)
    ]
    return (*_joined(known), *(f"{name}  is not there" for name in missing if name))


def _joined(known: Sequence[tuple[int, str]]) -> Iterator[str]:
    for (_, who), run in groupby(enumerate(known), lambda one: (one[1][0] - one[0], one[1][1])):
        numbers = [number for _, (number, _) in run]
        span = f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
        yield f"{span}  {who}"


def _who(
    gpu: Gpu, own: Mapping[str, str], others: Sequence[Registration], wanted: int, now: float | None
) -> str:
    if gpu.name in own:
        return own[gpu.name]
    for one in others:
        for held in one.gpus:
            if held.gpu == gpu.name:
                age = "" if now is None else f", for {ago(now - held.since)}"
                return f"service `{held.service}` of stack `{one.stack}`{_pid(one, held.service)}{age}"
    holder = gpu_claim.holder(gpu.name)
    if holder is None:
        if 0 < gpu.memory < wanted:
            return f"has {size(gpu.memory)} in all"
        if gpu.free < wanted:
            return (
                f"nobody's, but only {size(gpu.free)} of it are free"
                if gpu.memory
                else "its memory is not known"
            )
        return "free"
    if holder.uid != os.getuid():
        return f"a launchpad of user {holder.uid}, pid {holder.pid}"
    return f"`{command_of(holder.pid)}`, pid {holder.pid}"


def _pid(one: Registration, service: str) -> str:
    """Of the newest process of that service."""
    pids = [r.handle.pid for r in open_records(stack_paths(one.file)) if r.service == service and r.handle]
    return f", pid {pids[-1]}" if pids else ""
