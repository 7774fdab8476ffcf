"""The ports of the simulated machine: which number a request gets.

Decides as a machine would on which nobody but launchpad and the strangers it knows of has any. Knows nothing of time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launchpad.core.facts import Refusal
from launchpad.core.model import Lease, PortRequest


def grant(
    requests: Sequence[PortRequest],
    held: Sequence[Lease],
    preferred: Sequence[Lease],
    taken: Mapping[int, str],
) -> tuple[list[Lease], list[Refusal]]:
    """What there would be for each, and what there is not."""
    had = {(lease.service, lease.name): lease.number for lease in preferred}
    granted: list[Lease] = []
    refused: list[Refusal] = []
    for one in requests:
        number = _free_number(one, had.get((one.service, one.name)), held, granted, taken)
        if number is not None:
            granted.append(Lease(one.service, one.name, number, one.host))
            continue
        notes = tuple(f"{n}  {_owner(n, held, taken)}" for n in range(one.low, one.high + 1))
        refused.append(Refusal(one.service, one.name, one.low, one.high, notes, one.beside))
    return granted, refused


def _owner(number: int, held: Sequence[Lease], taken: Mapping[int, str]) -> str:
    ours = (f"`{lease.service}`" for lease in held if lease.number == number)
    return next(ours, taken.get(number, "asked for besides"))


def _free_number(
    request: PortRequest,
    preferred: int | None,
    held: Sequence[Lease],
    granted: Sequence[Lease],
    taken: Mapping[int, str],
) -> int | None:
    """The one that the service has already under this name, else the one it had before, else the first that is free;
    None where none is. `granted`: within the same batch; `taken`: those of strangers."""
    for lease in held:
        mine = (lease.service, lease.name, lease.host) == (request.service, request.name, request.host)
        if mine and request.low <= lease.number <= request.high and lease.number not in request.avoid:
            return lease.number
    ours = [lease.number for lease in (*held, *granted) if not lease.gpu]
    used = dict.fromkeys((*taken, *request.avoid, *ours))
    if preferred is not None and request.low <= preferred <= request.high and preferred not in used:
        return preferred
    return next((n for n in range(request.low, request.high + 1) if n not in used), None)
