"""Who holds the memory of the GPUs, in words: for a start that found none left.

Says service and stack where the process carries launchpad's marks, else pid and command. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from launchpad.hosts.gpu_asked import size
from launchpad.hosts.local import process
from launchpad.hosts.local.process import RUN, SERVICE
from launchpad.hosts.local.sockets import command_of

MOST = 8
"""Named on one GPU."""


def holders(memory: Mapping[int, Mapping[int, int]], run_id: str) -> tuple[str, ...]:
    """One line for each GPU that is used. `memory`: pid → device → bytes; `run_id`: that of this stack."""
    devices = sorted({device for uses in memory.values() for device in uses})
    return tuple(_line(device, memory, run_id) for device in devices)


def _line(device: int, memory: Mapping[int, Mapping[int, int]], run_id: str) -> str:
    uses = sorted(((uses[device], pid) for pid, uses in memory.items() if device in uses), reverse=True)
    named = ", ".join(f"{_who(pid, run_id)} {size(used)}" for used, pid in uses[:MOST])
    more = f" and {len(uses) - MOST} more" if len(uses) > MOST else ""
    return f"GPU {device} is held by {named}{more}"


def _who(pid: int, run_id: str) -> str:
    marks = process.environment(pid)
    if marks.get(RUN) == run_id and SERVICE in marks:
        return f"`{marks[SERVICE]}` (pid {pid})"
    if SERVICE in marks:
        return f"`{marks[SERVICE]}` of another stack (pid {pid})"
    if process.stat(pid) is None:
        return f"pid {pid}, which cannot be seen from here,"
    return f"`{command_of(pid)}` (pid {pid})"
