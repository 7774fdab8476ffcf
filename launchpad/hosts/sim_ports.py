"""The ports of the simulated machine: which number a request gets.

Decides as a machine would on which nobody but launchpad and the strangers it knows of has any. Knows nothing of time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launchpad.core.model import Lease, PortRequest


def free_number(
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
